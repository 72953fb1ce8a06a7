"""By what requests are spread over the processes of a class: the rules that find each one's key.

Keys are for caches, never for correctness: whoever forges one reaches another worker that answers
the same. The best that there is comes last, and replaces what came before.
"""

from collections.abc import Iterator
from typing import Final

from homeserver_operator.routes.classes import HashKey

ROOM: Final = "^/_matrix/client/.*?/(rooms|join|knock|profile)/([^/]+).*$"
"""The first such segment: later ones may be chosen by users."""

_ORIGIN: Final = '^x-matrix .*?origin="?([^", ]+).*$'

_BEARER: Final = "req.fhdr(authorization) -m beg -i 'bearer '"


def token_rules(condition: str) -> Iterator[str]:
    """Find the access token, in the header or in the URL; it stays in memory."""
    url, header = "urlp(access_token),url_dec(1)", "req.fhdr(authorization),word(2,' ')"
    yield f"http-request set-var(txn.token) {header} if {condition} {{ {_BEARER} }}"
    yield f"http-request set-var(txn.token) {url} if {condition} !{{ var(txn.token) -m found }}"


def key_rules(keys: frozenset[HashKey]) -> Iterator[str]:
    """Find the key of a request whose class is hashed, and say of which kind it is.

    `keys` are those in use.
    """
    if keys:
        hashed = f"{{ var(txn.by) -m str {' '.join(sorted(keys))} }}"
        yield from _key("source", "var(txn.source)", hashed)
    if "user" in keys:
        yield from _user()
    if "room" in keys:
        # Looking for words costs less than the pattern, which then need not be tried twice.
        by_room = "{ var(txn.by) -m str room } { path -m sub /rooms/ /join/ /knock/ /profile/ }"
        yield from _key("room", f"""'path,regsub("{ROOM}","\\2"),url_dec'""", by_room)
    if "origin" in keys:
        by_origin = (
            f"{{ var(txn.by) -m str origin }} {{ req.fhdr(authorization) -m reg -i '{_ORIGIN}' }}"
        )
        quoted = _ORIGIN.replace('"', '\\"')
        origin = f"""'req.fhdr(authorization),regsub("{quoted}","\\1",i),lower'"""
        yield from _key("origin", origin, by_origin)


def _user() -> Iterator[str]:
    yield "acl by_user var(txn.by) -m str user"
    yield from token_rules("by_user")
    # Of tokens that say nothing (of the Matrix Authentication Service, guests, application
    # services) each is a key of its own, but who speaks for one of its users names that user.
    yield from _key("token", "var(txn.token)", "by_user { var(txn.token) -m len gt 0 }")
    yield from _key("user_id", "urlp(user_id),url_dec(1)", "by_user { urlp(user_id) -m len gt 0 }")
    # Synapse's own hold the user's name in base64, which has no underscore.
    own = "by_user { var(txn.token) -m reg ^syt_[^_]+_ }"
    yield from _key("localpart", "var(txn.token),word(2,_)", own)


def _key(kind: str, expression: str, condition: str) -> Iterator[str]:
    yield f"http-request set-var(txn.kind) str({kind}) if {condition}"
    yield f"http-request set-var(txn.key) {expression} if {{ var(txn.kind) -m str {kind} }}"
