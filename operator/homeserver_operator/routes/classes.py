"""Route classes: routes that travel together, and who claims each. Their rows are in `table`."""

from dataclasses import dataclass
from typing import Final, Literal

from homeserver_operator.api.roles import SSO

HashKey = Literal["user", "room", "origin"]


@dataclass(frozen=True)
class RouteClass:
    """Routes that always travel together, behind one client Service of this name.

    `serves` is the value of workers[].serves that claims the class, `stream` the stream whose
    writer must have it; where nobody claims it, it follows the class `otherwise`, and main has it
    in the end. `hash_by` is what keeps requests on one worker of several: for caches, never for
    correctness. `read_timeout` is the longest answer to wait for, in seconds. `main_can` says
    whether main could answer if all who serve the class were gone, and `may_kill` whether one
    request may be too much for the process that has it, so that it must not come to the next one.
    """

    name: str
    serves: str | None = None
    stream: str | None = None
    otherwise: str | None = None
    hash_by: HashKey | None = None
    read_timeout: int = 60
    main_can: bool = True
    may_kill: bool = False


# Sync without `since` can take minutes on a large account; long polls last up to half a minute.
_SLOW: Final = 600

CLASSES: Final = (
    RouteClass("sync", serves="sync", hash_by="user", read_timeout=_SLOW),
    RouteClass(
        "initial-sync",
        serves="initialSync",
        otherwise="sync",
        hash_by="user",
        read_timeout=_SLOW,
        # Of an account with too many rooms for the memory there is.
        may_kill=True,
    ),
    RouteClass("client", serves="client"),
    RouteClass("encryption", serves="encryption", read_timeout=120),
    RouteClass("event-sending", serves="eventSending", hash_by="room", read_timeout=120),
    RouteClass("pagination", serves="pagination", hash_by="room", read_timeout=120),
    RouteClass("login", serves="login", read_timeout=120),
    # Half-done logins are kept in one process's memory (synapse/handlers/sso.py).
    RouteClass("sso", serves=SSO, main_can=False),
    RouteClass("account-data", serves="accountData", stream="accountData"),
    RouteClass("user-directory", serves="userDirectory"),
    RouteClass("push-rules", stream="pushRules"),
    RouteClass("typing", stream="typing"),
    RouteClass("to-device", stream="toDevice"),
    RouteClass("receipts", stream="receipts"),
    RouteClass("presence", stream="presence"),
    # Any process passes these on to a writer of device_lists: routing saves a hop, no more.
    RouteClass("devices", stream="deviceLists", otherwise="client"),
    RouteClass("device-keys", stream="deviceLists", otherwise="encryption", read_timeout=120),
    RouteClass("thread-subscriptions", stream="threadSubscriptions"),
    RouteClass("federation", serves="federation", read_timeout=180),
    RouteClass(
        "federation-inbound", serves="federationInbound", hash_by="origin", read_timeout=180
    ),
    # Main has no media repository where a worker has one. A picture may be a decompression bomb.
    RouteClass("media", serves="media", read_timeout=180, main_can=False, may_kill=True),
    RouteClass(
        "media-quarantine", stream="quarantinedMediaChanges", read_timeout=180, main_can=False
    ),
)

MAS: Final = RouteClass("mas")
"""What the Matrix Authentication Service answers in Synapse's place, at a Service of its own."""
