"""Who watches the database acquits processes that have fences and convicts those without.

With real Synapse and PostgreSQL on loopback; the same witnesses see what happens in a cluster.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from psycopg2.extensions import make_dsn
from tests.epochs import Epoch, wait_waiting, write_epoch
from tests.matrix import Client, register
from tests.processes import RUNTIME, Site, ending
from tests.services import LOOPBACK

from e2e.product.database import Database
from e2e.product.overlaps import Deed, out_of_order, together
from e2e.product.sampling import Sampling, sampling

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

UNFENCED = Path(__file__).parents[1] / "unfenced"


@dataclass
class Seen:
    """What both witnesses have seen in the end."""

    database: Database
    sampled: Sampling
    writes: tuple[Deed, ...] = ()


@contextmanager
def _watched(site: Site) -> Iterator[Seen]:
    dsn = make_dsn(
        host=LOOPBACK,
        port=site.postgres.port,
        user="postgres",
        password=site.postgres.password,
        dbname=site.database,
    )
    database = Database(dsn)
    database.note_writes()
    with sampling(dsn) as sampled:
        seen = Seen(database, sampled)
        yield seen
    seen.writes = tuple(database.writes())


async def _talk(*epochs: Epoch) -> None:
    """Messages to the workers of all epochs in turns."""
    token = await register(epochs[0].main.client_port)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Client(epoch.worker.client_port, token))
            for epoch in epochs
        ]
        room = await clients[0].create_room()
        for number in range(10):
            for client in clients:
                # Persisters that know nothing of each other may refuse the one or other.
                with suppress(aiohttp.ClientError):
                    await client.send(room, f"message {number}")


async def test_one_epoch_after_the_other_is_in_order(site: Site) -> None:
    old, new = write_epoch(site, 1), write_epoch(site, 2)
    with ending(*old, *new):
        old.start()
        await asyncio.to_thread(old.wait_ready)
        with _watched(site) as seen:
            new.start()
            for process in new:
                await asyncio.to_thread(wait_waiting, process)
            await _talk(old)
            for process in old:
                process.signal()
            await asyncio.to_thread(new.wait_ready)
            await _talk(new)

    assert {deed.label.epochs["topology"] for deed in seen.writes} == {1, 2}
    assert {span.label.epochs["topology"] for span in seen.sampled.spans} == {1, 2}
    assert out_of_order(seen.writes) == []
    assert out_of_order(seen.sampled.deeds) == []
    assert together(seen.sampled.spans) == []
    assert seen.sampled.rate >= 20


async def test_without_fences_both_witnesses_find_overlaps(site: Site) -> None:
    old, new = write_epoch(site, 1), write_epoch(site, 2)
    unfenced = os.pathsep.join((str(UNFENCED), str(RUNTIME)))
    with ending(*old, *new):
        old.start()
        await asyncio.to_thread(old.wait_ready)
        with _watched(site) as seen:
            for process in new:
                process.start(PYTHONPATH=unfenced)
            await asyncio.to_thread(new.wait_ready)
            await _talk(old, new)

    assert out_of_order(seen.writes)
    assert out_of_order(seen.sampled.deeds)
    assert together(seen.sampled.spans)
