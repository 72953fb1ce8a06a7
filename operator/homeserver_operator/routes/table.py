"""The route table: every path that a worker may answer, as data.

Patterns are regular expressions over the raw (percent-encoded) path, matched in full. Each `[^/]+`
is one path segment, as in Synapse's own servlets, so that what users choose (room ids, event types,
state keys) never decides the route and the rows are pairwise disjoint: no proxy's precedence
matters. Source: "Scaling synapse via workers", corrected where Synapse 1.163.2 answers otherwise
(the reason stands at the row). What no row names belongs to the main process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

AuthenticatedBy = Literal["synapse", "mas"]

ADMIN_PREFIX: Final = "/_synapse/admin"


@dataclass(frozen=True)
class Route:
    """One row: a pattern over the whole path and, where it is narrow, what else must hold.

    `methods` (none: all) and the query conditions narrow a row. `without_query` names a parameter
    that the request lacks or leaves empty, `query` one whose decoded value matches a pattern in
    full. The narrow row comes first where a dialect can tell the condition, and is left out where
    it cannot: then the wide row of the same pattern has all of these requests, or main if there is
    none. Narrow rows of one pattern that hold together are of one class.

    `replay` are the methods that may be sent again after the answer was lost, because doing it
    twice is doing it once. GET and HEAD always may, and any request that reached no process at all.
    `by_device` says that it is so by the device that asks: application services have none.

    `only` names who must do the logins for the row to exist: Synapse, or the Matrix Authentication
    Service; None for both.
    """

    route_class: str
    pattern: str
    methods: frozenset[str] = frozenset()
    without_query: str | None = None
    query: tuple[str, str] | None = None
    replay: frozenset[str] = frozenset()
    by_device: bool = False
    only: AuthenticatedBy | None = None

    @property
    def narrow(self) -> bool:
        """Whether the path alone does not decide."""
        return bool(self.methods or self.without_query or self.query)

    @property
    def admin(self) -> bool:
        """Whether it belongs to the admin API, which is closed unless asked for."""
        return self.pattern.startswith(f"{ADMIN_PREFIX}/")


_C = "/_matrix/client"
_ANY = f"{_C}/(api/v1|r0|v3|unstable)"
_R0 = f"{_C}/(r0|v3|unstable)"
_ROOM = f"{_ANY}/rooms/[^/]+"
_F = "/_matrix/federation"
_A = ADMIN_PREFIX

_SYNC = f"{_R0}/sync"
_PUSH_RULES = f"{_ANY}/pushrules/.*"
_THREAD = f"{_C}/unstable/io\\.element\\.msc4306/rooms/[^/]+/thread/.+/subscription"
_DELAYED = f"{_C}/unstable/org\\.matrix\\.msc4140/delayed_events"

_READ = frozenset({"GET", "HEAD"})


def _rows(
    route_class: str,
    *patterns: str,
    replay: str = "",
    by_device: bool = False,
    only: AuthenticatedBy | None = None,
) -> Iterator[Route]:
    """Wide rows; `replay` as words."""
    methods = frozenset(replay.split())
    for pattern in patterns:
        yield Route(route_class, pattern, replay=methods, by_device=by_device, only=only)


def _reads(route_class: str, *patterns: str) -> Iterator[Route]:
    """Rows for reading alone."""
    for pattern in patterns:
        yield Route(route_class, pattern, methods=_READ)


ROUTES: Final = (
    *_rows("sync", _SYNC, f"{_ANY}/events"),
    # Sliding sync, the heaviest endpoint of today's clients; not in the document.
    *_rows("sync", f"{_C}/unstable/org\\.matrix\\.simplified_msc3575/sync", replay="POST"),
    # A client's first sync, and one that asks for everything again. /events without `from` is no
    # such thing: it starts at now.
    Route("initial-sync", _SYNC, without_query="since"),
    Route("initial-sync", _SYNC, query=("full_state", "true")),
    *_rows("initial-sync", f"{_ANY}/initialSync", f"{_ROOM}/initialSync"),
    *_rows(
        "client",
        f"{_ANY}/createRoom(/[^/]+)?",
        f"{_ANY}/events/[^/]+",
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
        f"{_R0}/account/(whoami|3pid)",
        f"{_C}/(v1|unstable)/appservice/[^/]+/ping",
        f"{_C}/versions",
        f"{_ANY}/voip/turnServer",
        f"{_ROOM}/event/[^/]+",
        f"{_ANY}/joined_rooms",
        f"{_ROOM}/aliases",
        f"{_C}/unstable/org\\.matrix\\.msc2432/rooms/[^/]+/aliases",
        f"{_ANY}/directory/room/[^/]+",
        f"{_R0}/capabilities",
        f"{_R0}/notifications",
        f"{_C}/unstable/io\\.element\\.msc4308/thread_subscriptions",
        f"{_C}/unstable/org\\.matrix\\.msc4143/rtc/transports",
        f"{_DELAYED}(/[^/]+/restart)?",
        "/_synapse/client/(unsubscribe|media_upload_limit_exceeded)",
        # Closes a room, which can take minutes.
        f"{_A}/v1/rooms/[^/]+",
    ),
    *_rows("client", f"{_ANY}/(publicRooms|search)", replay="POST"),
    *_rows("client", f"{_R0}/user/[^/]+/filter(/[^/]+)?", replay="POST"),
    *_rows("client", f"{_C}/unstable/org\\.matrix\\.msc3720/account_status", replay="POST"),
    *_rows("client", f"{_R0}/account/deactivate", only="synapse"),
    *_rows(
        "client",
        f"{_C}/(v1|unstable)/auth_metadata",
        f"{_C}/unstable/org\\.matrix\\.msc2965/auth_metadata",
        only="mas",
    ),
    # Reading is everybody's; writing is the stream's writer's (push rules, thread subscriptions) or
    # main's alone.
    *_reads("client", _PUSH_RULES, _THREAD, f"{_DELAYED}/[^/]+", f"{_A}/v2/users/[^/]+"),
    *_rows("encryption", f"{_R0}/keys/(query|changes)", replay="POST"),
    # A second claim would use up a second one-time key.
    *_rows("encryption", f"{_R0}/keys/claim"),
    *_rows("encryption", f"{_C}/unstable/org\\.matrix\\.msc3983/keys/claim"),
    *_rows(
        "encryption",
        f"{_R0}/room_keys/(version(/[^/]+)?|keys(/[^/]+){{0,2}})",
        replay="PUT",
    ),
    *_rows("devices", f"{_R0}/devices(/[^/]+)?", replay="PUT"),
    *_rows("devices", f"{_R0}/delete_devices", only="synapse"),
    # The document's `keys/upload/` with a slash matches no request.
    *_rows("device-keys", f"{_R0}/keys/(upload|device_signing/upload|signatures/upload)"),
    # Transactions of events are remembered in the database, by device
    # (synapse/handlers/message.py, get_event_id_from_transaction).
    *_rows(
        "event-sending",
        f"{_ROOM}/redact/[^/]+(/[^/]+)?",
        f"{_ROOM}/send/[^/]+(/[^/]+)?",
        replay="PUT",
        by_device=True,
    ),
    *_rows("event-sending", f"{_ROOM}/state/[^/]+(/[^/]*)?", replay="PUT"),
    # Those of memberships in the memory of one process.
    *_rows(
        "event-sending",
        f"{_ROOM}/(join|invite|leave|ban|unban|kick)(/[^/]+)?",
        f"{_ANY}/join/[^/]+(/[^/]+)?",
        f"{_ANY}/knock/[^/]+(/[^/]+)?",
    ),
    *_rows(
        "event-sending",
        f"{_ANY}/profile/[^/]+(/[^/]+)?",
        f"{_C}/unstable/uk\\.tcpip\\.msc4133/profile/[^/]+/[^/]+",
        replay="PUT DELETE",
    ),
    *_rows("pagination", f"{_ROOM}/messages"),
    *_rows(
        "login",
        f"{_ANY}/login",
        f"{_R0}/register/available",
        f"{_C}/(v1|unstable)/register/m\\.login\\.registration_token/validity",
        only="synapse",
    ),
    # With the Matrix Authentication Service application services go on registering their users.
    *_rows("login", f"{_R0}/register", f"{_R0}/password_policy"),
    *_rows(
        "sso",
        f"{_ANY}/login/(cas|sso)/redirect",
        f"{_C}/(r0|v3)/login/sso/redirect/[^/]+",
        f"{_ANY}/login/cas/ticket",
        "/_synapse/client/(pick_idp|new_user_consent|sso_register)",
        "/_synapse/client/pick_username(/.*)?",
        "/_synapse/client/oidc/(callback|backchannel_logout)",
        "/_synapse/client/saml2/(authn_response|metadata\\.xml)",
        "/_matrix/saml2/(authn_response|metadata\\.xml)",
        only="synapse",
    ),
    # What its documentation calls the compatibility layer.
    *_rows(
        "mas",
        f"{_ANY}/login",
        f"{_ANY}/login/sso/redirect(/[^/]*)?",
        f"{_ANY}/logout(/all)?",
        f"{_ANY}/refresh",
        only="mas",
    ),
    *_rows(
        "account-data",
        f"{_R0}/user/[^/]+(/rooms/[^/]+)?/(tags|account_data)(/[^/]+)?",
        f"{_C}/unstable/org\\.matrix\\.msc3391/user/[^/]+(/rooms/[^/]+)?/account_data/[^/]+",
        replay="PUT DELETE",
    ),
    *_rows("user-directory", f"{_R0}/user_directory/search", replay="POST"),
    *_rows("push-rules", _PUSH_RULES, replay="PUT"),
    # Of streams whose writer alone can answer, ids are `.+`: user ids and the event ids of old
    # rooms may hold an encoded slash, and Ingress controllers decode before they match.
    *_rows("typing", f"{_ROOM}/typing/.+", replay="PUT"),
    # Its transactions are in the memory of one process: sent again, a message would come twice.
    *_rows("to-device", f"{_R0}/sendToDevice/.+"),
    # Any process but a writer of the stream answers 500, whatever the document says.
    *_rows("receipts", f"{_ROOM}/receipt/[^/]+/.+", f"{_ROOM}/read_markers", replay="POST"),
    # The same for reading another user's presence.
    *_rows("presence", f"{_ANY}/presence/.+/status", replay="PUT"),
    *_rows("thread-subscriptions", _THREAD, replay="PUT"),
    *_rows(
        "federation",
        f"{_F}/v1/(event|state|state_ids|backfill|timestamp_to_event)/[^/]+/?",
        f"{_F}/v1/event_auth/[^/]+/[^/]+",
        f"{_F}/v1/version",
        f"{_F}/v1/query/[^/]+",
        f"{_F}/v1/(make_join|make_leave|make_knock|send_knock)/[^/]+/[^/]+",
        f"{_F}/(v1|v2)/(send_join|send_leave|invite)/[^/]+/[^/]+",
        f"{_F}/v1/exchange_third_party_invite/[^/]+",
        f"{_F}/v1/user/devices/[^/]+",
        f"{_F}/(v1|unstable)/user/keys/claim",
        f"{_F}/v1/hierarchy/[^/]+",
        f"{_F}/v1/3pid/onbind",
        f"{_F}/v1/openid/userinfo",
        f"{_F}/unstable/rooms/[^/]+/complexity",
        f"{_F}/unstable/org\\.matrix\\.msc4370/extremities/[^/]+",
        "/_matrix/key/v2/server(/[^/]*)?",
    ),
    *_rows(
        "federation",
        f"{_F}/v1/publicRooms",
        f"{_F}/v1/get_missing_events/[^/]+",
        f"{_F}/v1/user/keys/query",
        f"{_F}/unstable/org\\.matrix\\.msc3720/query/account_status",
        "/_matrix/key/v2/query(/.*)?",
        replay="POST",
    ),
    # Remembered by origin and transaction.
    *_rows("federation-inbound", f"{_F}/v1/send/[^/]+/?", replay="PUT"),
    *_rows(
        "media",
        "/_matrix/media/.*",
        f"{_C}/v1/media/.*",
        f"{_F}/v1/media/.*",
        f"{_A}/v1/purge_media_cache",
        f"{_A}/v1/(room|users)/[^/]+/media",
        f"{_A}/v1/media/[^/]+(/[^/]+)?",
    ),
    *_rows(
        "media-quarantine",
        f"{_A}/v1/(room|user)/[^/]+/media/quarantine",
        f"{_A}/v1/quarantine_media/[^/]+",
        f"{_A}/v1/media/(un)?quarantine/[^/]+/[^/]+",
    ),
)
