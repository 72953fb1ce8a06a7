"""By what requests are spread over the processes of a class: the rules that find each one's key.

They are its backend's, so that no request goes through those of another class.

Keys are for caches, never for correctness: whoever forges one reaches another worker that answers
the same. The best that there is comes last, and replaces what came before.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from homeserver_operator.routes.classes import HashKey

ROOM: Final = "^/_matrix/client/.*?/(rooms|join|knock|profile)/([^/]+).*$"
"""The first such segment: later ones may be chosen by users."""

_ORIGIN: Final = '^x-matrix .*?origin="?([^", ]+).*$'

_BEARER: Final = "req.fhdr(authorization) -m beg -i 'bearer '"


def token_rules(*conditions: str) -> Iterator[str]:
    """Find the access token, in the header or in the URL; it stays in memory."""
    url, header = "urlp(access_token),url_dec(1)", "req.fhdr(authorization),word(2,' ')"
    in_header, elsewhere = f"{{ {_BEARER} }}", "!{ var(txn.token) -m found }"
    for expression, where in ((header, in_header), (url, elsewhere)):
        yield f"http-request set-var(txn.token) {expression} if {' '.join((*conditions, where))}"


def key_rules(hash_by: HashKey) -> Iterator[str]:
    """Find the key of a request whose class is hashed, and say of which kind it is."""
    yield "http-request set-var(txn.kind) str(source)"
    yield "http-request set-var(txn.key) var(txn.source)"
    yield from _RULES[hash_by]()


def _user() -> Iterator[str]:
    yield from token_rules()
    # Of tokens that say nothing (of the Matrix Authentication Service, guests, application
    # services) each is a key of its own, but who speaks for one of its users names that user.
    yield from _key("token", "var(txn.token)", "{ var(txn.token) -m len gt 0 }")
    yield from _key("user_id", "urlp(user_id),url_dec(1)", "{ urlp(user_id) -m len gt 0 }")
    # Synapse's own hold the user's name in base64, which has no underscore.
    own = "{ var(txn.token) -m reg ^syt_[^_]+_ }"
    yield from _key("localpart", "var(txn.token),word(2,_)", own)


def _room() -> Iterator[str]:
    # Looking for words costs less than the pattern, which then need not be tried twice.
    by_room = "{ path -m sub /rooms/ /join/ /knock/ /profile/ }"
    yield from _key("room", f"""'path,regsub("{ROOM}","\\2"),url_dec'""", by_room)


def _origin() -> Iterator[str]:
    by_origin = f"{{ req.fhdr(authorization) -m reg -i '{_ORIGIN}' }}"
    quoted = _ORIGIN.replace('"', '\\"')
    origin = f"""'req.fhdr(authorization),regsub("{quoted}","\\1",i),lower'"""
    yield from _key("origin", origin, by_origin)


def _key(kind: str, expression: str, condition: str) -> Iterator[str]:
    yield f"http-request set-var(txn.kind) str({kind}) if {condition}"
    yield f"http-request set-var(txn.key) {expression} if {{ var(txn.kind) -m str {kind} }}"


_RULES: Final[Mapping[HashKey, Callable[[], Iterator[str]]]] = {
    "user": _user,
    "room": _room,
    "origin": _origin,
}
