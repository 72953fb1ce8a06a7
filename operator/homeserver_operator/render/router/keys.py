"""By what requests are spread over the processes of a class: the rules that find each one's key.

They are its backend's, so that no request goes through those of another class.

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

USER_ID: Final = "urlp(user_id),url_dec(1)"
"""For whom an application service speaks."""

SYNAPSES: Final = "^syt_[^_]+_"
"""How Synapse's own tokens begin: with the user's localpart in base64, which has no underscore."""

SERVICES: Final = ("mat", "mct")
"""How tokens of the Matrix Authentication Service begin, before a `_`."""

OF_DEVICES: Final = f"({'|'.join(('syt', *SERVICES))})_"
"""How tokens begin that belong to a device, and so are none of an application service's."""

_LOCALPART: Final = "word(1,:),bytes(1),base64,word(1,=)"
"""A user's id as Synapse's own tokens have it, so that a user has one key whoever names it."""


def token_rules(*conditions: str) -> Iterator[str]:
    """Find the access token, in the header or in the URL; it stays in memory."""
    url, header = "urlp(access_token),url_dec(1)", "req.fhdr(authorization),word(2,' ')"
    in_header, elsewhere = f"{{ {_BEARER} }}", "!{ var(txn.token) -m found }"
    for expression, where in ((header, in_header), (url, elsewhere)):
        yield f"http-request set-var(txn.token) {expression} if {' '.join((*conditions, where))}"


def ask(condition: str = "") -> str:
    """The rule that has whoami.lua find whose the token is; it asks once for each request."""
    return f"http-request lua.whoami if {{ var(txn.digest) -m found }} {condition}".rstrip()


def key_rules(hash_by: HashKey, *, whoami: bool) -> Iterator[str]:
    """Find the key of a request whose class is hashed, and say of which kind it is.

    `whoami` says whether tokens that name nobody are asked for.
    """
    yield "http-request set-var(txn.kind) str(source)"
    yield "http-request set-var(txn.key) var(txn.source)"
    match hash_by:
        case "user":
            yield from _user(whoami=whoami)
        case "room":
            yield from _room()
        case "origin":
            yield from _origin()


def _user(*, whoami: bool) -> Iterator[str]:
    if whoami:
        yield ask()
    else:
        yield from token_rules()
    # Of tokens that say nothing (of the Matrix Authentication Service, guests, application
    # services) each is a key of its own, but who speaks for one of its users names that user.
    yield from _key("token", "var(txn.token)", "{ var(txn.token) -m len gt 0 }")
    said = "{ urlp(user_id) -m len gt 0 }"
    if whoami:
        found = f"{{ var(txn.user) -m found }} !{said}"
        yield from _key("whoami", f"var(txn.user),{_LOCALPART}", found)
    yield from _key("user_id", f"{USER_ID},{_LOCALPART}", said)
    own = f"{{ var(txn.token) -m reg {SYNAPSES} }}"
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
