"""After the database was away: has Synapse take up what it gives up then for long, or for good.

Most of Synapse goes on by itself, from where the database says that it was. Touches only what does
not; notices no outage itself.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from homeserver_runtime import inbound, locks, pushing
from homeserver_runtime.configuration import CONNECT_SECONDS

if TYPE_CHECKING:
    from homeserver_runtime.state import Snapshot

_LOOKS = 120
"""A minute of heartbeats: a node that is gone has been silent for a while when that is noticed."""


class Recovery:
    """Told of every heartbeat, in the reactor."""

    def __init__(self, homeserver: Any) -> None:
        self._homeserver = homeserver
        self._retakes = 0
        self._told: deque[int] = deque(maxlen=_LOOKS)

    def beat(self, now: Snapshot) -> None:
        """Acts when the fences, and with them the database, have come back."""
        if now.retakes > self._retakes:
            self._retakes = now.retakes
            since = self._told[0] if self._told else None
            self._resume(since)
            # What tried to connect while nobody answered fails only now, and may be of these.
            self._homeserver.get_reactor().callLater(CONNECT_SECONDS + 1, self._resume, since)
        if now.losses == now.retakes:
            self._told.append(pushing.told(self._homeserver))

    def _resume(self, since: int | None) -> None:
        homeserver, store = self._homeserver, self._homeserver.get_datastores().main
        homeserver.run_as_background_process("recovery_inbound", self._resume_inbound)
        if since is not None:
            pushing.forget_told(homeserver, since)
        # As if the last event had just come: pushers, federation and application services look for
        # what is new then, and else with the next one.
        homeserver.get_notifier()._on_updated_room_token(store.get_room_max_token())
        homeserver.get_notifier().notify_replication()
        if homeserver.config.worker.worker_app is None:
            # After five failures in a row, a second apart, it is over with them. Only main has any.
            for database in homeserver.get_datastores().databases:
                database.updates.start_doing_background_updates()

    async def _resume_inbound(self) -> None:
        await locks.release_failed(self._homeserver)
        inbound.look_again(self._homeserver)
