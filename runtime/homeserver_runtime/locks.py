"""Synapse's locks between workers, rows in the database that their holders renew.

Only those that Synapse itself has given up: takes none, and takes nobody else's away.
"""

from __future__ import annotations

from typing import Any


async def release_failed(homeserver: Any) -> None:
    """Releases what could not be released while the database was away.

    Nobody renews such a lock any more, and until two minutes are over it counts as held, in this
    process as well.
    """
    store = homeserver.get_datastores().main
    live = [*store._live_lock_tokens.values(), *store._live_read_write_lock_tokens.values()]
    for lock in live:
        if lock._looping_call and not lock._looping_call.running:
            await lock.release()
