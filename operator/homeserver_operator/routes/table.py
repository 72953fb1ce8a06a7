"""The route table: every path that a worker may answer, as data.

Patterns are regular expressions over the raw (percent-encoded) path, matched in full. Each `[^/]+`
is one path segment, as in Synapse's own servlets, so that what users choose (room ids, event types,
state keys) never decides the route and the rows are pairwise disjoint: no proxy's precedence
matters. Source: "Scaling synapse via workers", corrected where Synapse 1.163.2 answers otherwise
(the reason stands at the row). What no row names belongs to the main process.
"""

from dataclasses import dataclass
from typing import Final, Literal

HashKey = Literal["user", "room", "origin"]


@dataclass(frozen=True)
class RouteClass:
    """Routes that always travel together, behind one client Service of this name.

    `serves` is the value of workers[].serves that claims the class, `stream` the stream whose
    writer must have it. `hash_by` is what keeps requests on one worker of several: for caches,
    never for correctness. `read_timeout` is the longest answer to wait for, in seconds.
    """

    name: str
    serves: str | None = None
    stream: str | None = None
    hash_by: HashKey | None = None
    read_timeout: int = 60


@dataclass(frozen=True)
class Route:
    """One row: a pattern over the whole path and, where it is narrow, what else must hold.

    `methods` (none: all) and the query conditions narrow a row. `without_query` names a parameter
    that the request lacks or leaves empty, `query` one whose decoded value matches a pattern in
    full. For each narrow row a wide one has the same pattern; the narrow row comes first where a
    dialect can tell the condition, and is left out where it cannot: the wide row's class answers
    all of these requests.
    """

    route_class: str
    pattern: str
    methods: frozenset[str] = frozenset()
    without_query: str | None = None
    query: tuple[str, str] | None = None

    @property
    def narrow(self) -> bool:
        """Whether the path alone does not decide."""
        return bool(self.methods or self.without_query or self.query)


# Sync without `since` can take minutes on a large account; long polls last up to half a minute.
_SLOW: Final = 600

CLASSES: Final = (
    RouteClass("sync", serves="sync", hash_by="user", read_timeout=_SLOW),
    RouteClass("initial-sync", serves="initialSync", hash_by="user", read_timeout=_SLOW),
    RouteClass("client", serves="client"),
    RouteClass("encryption", serves="encryption", read_timeout=120),
    RouteClass("event-sending", serves="eventSending", hash_by="room", read_timeout=120),
    RouteClass("pagination", serves="pagination", hash_by="room", read_timeout=120),
    RouteClass("login", serves="login", read_timeout=120),
    RouteClass("account-data", serves="accountData", stream="accountData"),
    RouteClass("user-directory", serves="userDirectory"),
    RouteClass("push-rules", stream="pushRules"),
    RouteClass("typing", stream="typing"),
    RouteClass("to-device", stream="toDevice"),
    RouteClass("receipts", stream="receipts"),
    RouteClass("presence", stream="presence"),
    RouteClass("device-lists", stream="deviceLists"),
    RouteClass("thread-subscriptions", stream="threadSubscriptions"),
    RouteClass("federation", serves="federation", read_timeout=180),
    RouteClass(
        "federation-inbound", serves="federationInbound", hash_by="origin", read_timeout=180
    ),
    RouteClass("media", serves="media", read_timeout=180),
)

_C = "/_matrix/client"
_ANY = f"{_C}/(api/v1|r0|v3|unstable)"
_R0 = f"{_C}/(r0|v3|unstable)"
_ROOM = f"{_ANY}/rooms/[^/]+"
_F = "/_matrix/federation"


def _rows(route_class: str, *patterns: str) -> list[Route]:
    return [Route(route_class, pattern) for pattern in patterns]


ROUTES: Final = (
    *_rows(
        "sync",
        f"{_C}/(r0|v3|unstable)/sync",
        f"{_C}/(api/v1|r0|v3|unstable)/events",
        # Sliding sync, the heaviest endpoint of today's clients; not in the document.
        f"{_C}/unstable/org\\.matrix\\.simplified_msc3575/sync",
    ),
    *_rows(
        "initial-sync",
        f"{_ANY}/initialSync",
        f"{_ROOM}/initialSync",
    ),
    *_rows(
        "client",
        f"{_ANY}/createRoom(/[^/]+)?",
        f"{_ANY}/events/[^/]+",
        f"{_ANY}/publicRooms",
        f"{_ROOM}/joined_members",
        f"{_ROOM}/context/[^/]+",
        f"{_ROOM}/members",
        f"{_ROOM}/state",
        f"{_C}/v1/rooms/[^/]+/hierarchy",
        f"{_C}/(v1|unstable)/rooms/[^/]+/relations/[^/]+(/[^/]+){{0,2}}",
        f"{_C}/v1/rooms/[^/]+/threads",
        f"{_C}/v1/rooms/[^/]+/timestamp_to_event",
        f"{_C}/unstable/im\\.nheko\\.summary/(rooms/[^/]+/summary|summary/[^/]+)",
        f"{_C}/v1/room_summary/[^/]+",
        f"{_R0}/account/(whoami|3pid|deactivate)",
        f"{_C}/(v1|unstable)/appservice/[^/]+/ping",
        f"{_C}/versions",
        f"{_ANY}/voip/turnServer",
        f"{_ROOM}/event/[^/]+",
        f"{_ANY}/joined_rooms",
        f"{_ROOM}/aliases",
        f"{_ANY}/search",
        f"{_R0}/user/[^/]+/filter(/[^/]+)?",
        f"{_ANY}/directory/room/[^/]+",
        f"{_R0}/capabilities",
        f"{_R0}/notifications",
    ),
    *_rows(
        "encryption",
        f"{_R0}/keys/(query|changes|claim)",
        f"{_R0}/room_keys/(version(/[^/]+)?|keys(/[^/]+){{0,2}})",
    ),
    *_rows(
        # With a writer of the device_lists stream these reach it without a proxied hop; the
        # document's `keys/upload/` with a slash matches no request.
        "device-lists",
        f"{_R0}/devices(/[^/]+)?",
        f"{_R0}/delete_devices",
        f"{_R0}/keys/(upload|device_signing/upload|signatures/upload)",
    ),
    *_rows(
        "event-sending",
        f"{_ROOM}/redact/[^/]+(/[^/]+)?",
        f"{_ROOM}/send/[^/]+(/[^/]+)?",
        f"{_ROOM}/state/[^/]+(/[^/]*)?",
        f"{_ROOM}/(join|invite|leave|ban|unban|kick)(/[^/]+)?",
        f"{_ANY}/join/[^/]+(/[^/]+)?",
        f"{_ANY}/knock/[^/]+(/[^/]+)?",
        f"{_ANY}/profile/[^/]+(/[^/]+)?",
    ),
    *_rows("pagination", f"{_ROOM}/messages"),
    *_rows(
        "login",
        f"{_ANY}/login",
        f"{_R0}/register",
        f"{_R0}/register/available",
        f"{_C}/v1/register/m\\.login\\.registration_token/validity",
        f"{_R0}/password_policy",
    ),
    *_rows(
        "account-data",
        f"{_R0}/user/[^/]+(/rooms/[^/]+)?/(tags|account_data)(/[^/]+)?",
    ),
    *_rows("user-directory", f"{_R0}/user_directory/search"),
    # Reading could go anywhere, but writing answers 500 outside the writer, and an Ingress cannot
    # tell the methods apart.
    *_rows("push-rules", f"{_ANY}/pushrules/.*"),
    # Of streams whose writer alone can answer, ids are `.+`: user ids and the event ids of old
    # rooms may hold an encoded slash, and Ingress controllers decode before they match.
    *_rows("typing", f"{_ROOM}/typing/.+"),
    *_rows("to-device", f"{_R0}/sendToDevice/.+"),
    *_rows(
        "receipts",
        # Any process but a writer of the stream answers 500, whatever the document says.
        f"{_ROOM}/receipt/[^/]+/.+",
        f"{_ROOM}/read_markers",
    ),
    *_rows("presence", f"{_ANY}/presence/.+/status"),
    *_rows(
        "thread-subscriptions",
        f"{_C}/unstable/io\\.element\\.msc4306/rooms/[^/]+/thread/.+/subscription",
    ),
    *_rows(
        "federation",
        f"{_F}/v1/(event|state|state_ids|backfill|get_missing_events|event_auth)/[^/]+(/[^/]+)?",
        f"{_F}/v1/publicRooms",
        f"{_F}/v1/version",
        f"{_F}/v1/query/[^/]+",
        f"{_F}/v1/(make_join|make_leave|make_knock|send_knock)/[^/]+/[^/]+",
        f"{_F}/(v1|v2)/(send_join|send_leave|invite)/[^/]+/[^/]+",
        f"{_F}/v1/timestamp_to_event/[^/]+",
        f"{_F}/v1/exchange_third_party_invite/[^/]+",
        f"{_F}/v1/user/devices/[^/]+",
        f"{_F}/v1/user/keys/(query|claim)",
        f"{_F}/v1/hierarchy/[^/]+",
        f"{_F}/v1/3pid/onbind",
        f"{_F}/v1/openid/userinfo",
        f"{_F}/unstable/rooms/[^/]+/complexity",
        "/_matrix/key/v2/query(/.*)?",
        "/_matrix/key/v2/server(/[^/]*)?",
    ),
    *_rows("federation-inbound", f"{_F}/v1/send/[^/]+/?"),
    *_rows(
        "media",
        "/_matrix/media/.*",
        f"{_C}/v1/media/.*",
        f"{_F}/v1/media/.*",
    ),
)
