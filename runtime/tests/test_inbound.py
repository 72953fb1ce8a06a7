"""Events of another server that were answered with 200 survive the end of all processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import pytest
from tests.epochs import drain_seconds, write_epoch
from tests.matrix import Client, register
from tests.processes import ending
from tests.remote import Remote, name_of
from tests.services import wait_until

if TYPE_CHECKING:
    from tests.processes import Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

EVENTS = 40
SHORT_SECONDS = 6.0


async def test_inbound_events_are_handled_or_kept(site: Site) -> None:
    processes = write_epoch(site, 1, serves=("client", "federation"))
    main, persister, worker = processes
    with ending(*processes):
        processes.start()
        await asyncio.to_thread(processes.wait_ready)
        token = await register(main.client_port)
        async with Client(worker.client_port, token) as alice:
            remote = Remote(site, worker.client_port)
            messages = await remote.meet(alice)
        events = messages(EVENTS + 1)

        # So that what the worker hands to it is under way for as long as we like.
        persister.signal(signal.SIGSTOP)
        await remote.send(events[:EVENTS])
        assert len(staged(site)) == EVENTS
        for process in processes:
            process.signal()
        persister.signal(signal.SIGCONT)
        for process in processes:
            assert await asyncio.to_thread(process.wait) == 0
            assert drain_seconds(process) < SHORT_SECONDS

        names = [name_of(event) for event in events]
        handled = persisted(site, names)
        # What was begun is finished, and what is not begun is kept.
        assert names[0] in handled
        assert handled | staged(site) == set(names[:EVENTS])
        assert not handled & staged(site)

        processes.start()
        await asyncio.to_thread(processes.wait_ready)
        await remote.send(events[EVENTS:])
        await asyncio.to_thread(
            wait_until, lambda: persisted(site, names) == set(names), what="all events"
        )
        assert not any("Failed to handle PDU" in process.log for process in processes)


def staged(site: Site) -> set[str]:
    return column(site, "SELECT event_id FROM federation_inbound_events_staging")


def persisted(site: Site, names: list[str]) -> set[str]:
    return set(names) & column(site, "SELECT event_id FROM events WHERE NOT outlier")


def column(site: Site, statement: str) -> set[str]:
    with (
        contextlib.closing(site.postgres.connect(site.database)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return {str(row[0]) for row in cursor}
