"""Events of other servers that Synapse has taken and not yet handled.

Synapse answers 200 to a transaction once its events are staged in the database, and handles them in
the background. Handling that fails, because a writer is gone, throws an event away for good; what
stays staged, the next process handles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Private, and the only count of them that there is.
from synapse.metrics.background_process_metrics import _background_process_in_flight_count

if TYPE_CHECKING:
    from collections.abc import Callable

_HANDLING = "_process_incoming_pdus_in_room_inner"


def in_hand(homeserver: Any) -> int:
    """In how many rooms staged events are being handled, by Synapse's own metric."""
    labels = {"name": _HANDLING, "server_name": homeserver.hostname}
    return sum(
        int(sample.value)
        for metric in _background_process_in_flight_count.collect()
        for sample in metric.samples
        if sample.labels == labels
    )


def leave_staged(homeserver: Any, when: Callable[[], bool]) -> None:
    """Takes nothing more from the staging table while `when()`: a busy room would never end."""
    store = homeserver.get_datastores().main
    take = getattr(store, "get_next_staged_event_for_room", None)
    if take is None:
        return

    async def take_none(*args: Any, **kwargs: Any) -> Any:
        return None if when() else await take(*args, **kwargs)

    store.get_next_staged_event_for_room = take_none


def look_again(homeserver: Any) -> None:
    """Has a process that takes events handle at once what is staged, and not at the next minute."""
    # Asked for, it would be made: of most processes it is no part.
    server = getattr(homeserver, "_federation_server", None)
    if server and server._started_handling_of_staged_events:
        server._handle_old_staged_events()
