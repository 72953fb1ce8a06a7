"""A homeserver's processes stop together, and the next epoch's take over: nobody notices."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.epochs import Epoch, drain_seconds, wait_waiting, write_epoch
from tests.matrix import Client, register
from tests.processes import ending
from tests.services import LOOPBACK, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

SENDS = 40
ELSEWHERE = "127.0.0.2"
SHORT_SECONDS = 6.0
"""What a drain may take here with work in hand; Synapse's back-off alone, without stages, is
longer."""
SPREAD_SECONDS = 1.5
"""Signals to twenty processes were seen to spread so far."""


@pytest.fixture
async def old(site: Site) -> AsyncIterator[Epoch]:
    """Processes that serve."""
    epoch = write_epoch(site, 1)
    with ending(*epoch):
        epoch.start()
        await asyncio.to_thread(epoch.wait_ready)
        yield epoch


@pytest.fixture
async def new(site: Site, old: Epoch) -> AsyncIterator[Epoch]:
    """Processes that wait for those."""
    epoch = write_epoch(site, 2)
    with ending(*epoch):
        epoch.start()
        for process in epoch:
            await asyncio.to_thread(wait_waiting, process)
            assert process.probe("/started")[0] == 200
        yield epoch


async def test_processes_that_stop_together_finish_what_they_have_in_hand(old: Epoch) -> None:
    token = await register(old.main.client_port)
    async with Client(old.worker.client_port, token) as user:
        room = await user.create_room()
        sends = [asyncio.create_task(user.send(room, f"message {n}")) for n in range(SENDS)]
        await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
        for process in old:
            process.signal()
        assert len(set(await asyncio.gather(*sends))) == SENDS
    for process in old:
        assert await asyncio.to_thread(process.wait) == 0
        assert drain_seconds(process) < SHORT_SECONDS


@pytest.mark.parametrize(
    "spread",
    [
        pytest.param(0.0, id="told all at once"),
        pytest.param(SPREAD_SECONDS, id="told one after the other, those who are needed first"),
    ],
)
async def test_a_switch_fails_nothing(old: Epoch, new: Epoch, spread: float) -> None:
    token = await register(old.main.client_port)
    async with (
        Client(old.worker.client_port, token) as user,
        Client(new.worker.client_port, token) as early,
    ):
        room = await user.create_room()
        since = (await user.sync())["next_batch"]
        poll = asyncio.create_task(user.sync(since, wait_seconds=120))
        # Connects to a process that does not serve yet, and needs all of its epoch.
        first = asyncio.create_task(early.send(room, "to the next epoch"))
        sends = [asyncio.create_task(user.send(room, f"message {n}")) for n in range(SENDS)]
        await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)

        for process in (old.persister, old.main):
            process.signal()
        began = time.monotonic()
        while time.monotonic() < began + spread:
            sends.append(asyncio.create_task(user.send(room, f"message {len(sends)}")))
            await asyncio.wait(sends[-1:])
        assert not first.done()
        old.worker.signal()
        events = await asyncio.gather(*sends)
        assert (await poll)["next_batch"]
        events.append(await first)
        assert len(set(events)) == len(sends) + 1

        await asyncio.to_thread(new.wait_ready)
        for process in old:
            assert await asyncio.to_thread(process.wait) == 0
            assert drain_seconds(process) < spread + SHORT_SECONDS
        assert await timeline(early, room) >= set(events)


async def test_who_comes_late_to_an_old_process_is_answered_by_the_new_one(site: Site) -> None:
    """Proxies learn late that others serve, however late."""
    old, new = write_epoch(site, 1, late_seconds=10), write_epoch(site, 2)
    listen_for(new.worker, old.worker)
    with ending(*old, *new):
        old.start()
        await asyncio.to_thread(old.wait_ready)
        new.main.start()
        new.persister.start()
        new.worker.start(POD_IP=ELSEWHERE)
        for process in new:
            await asyncio.to_thread(wait_waiting, process)

        for process in old:
            process.signal()
        for number in itertools.count():
            assert await late_comer(old.worker.client_port, number) == b"HTTP/1.1 200 OK\r\n"
            # One at a time: a slow machine may take longer than others are taken on.
            if await asyncio.to_thread(who_answered, number, old.worker, new.worker) is new.worker:
                break
        for process in old:
            assert await asyncio.to_thread(process.wait) == 0


def listen_for(new: RuntimeProcess, old: RuntimeProcess) -> None:
    """As if they were pods: the same port, at an address of its own."""
    path = new.directory / "homeserver.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["worker_listeners"][0] |= {"port": old.client_port, "bind_addresses": [ELSEWHERE]}
    path.write_text(yaml.safe_dump(settings))


def who_answered(number: int, *processes: RuntimeProcess) -> RuntimeProcess:
    """Whose log has the request of a late comer."""
    found: list[RuntimeProcess] = []

    def look() -> bool:
        said = re.compile(rf"Processed request.*late={number} ")
        found.extend(process for process in processes if said.search(process.log))
        return bool(found)

    wait_until(look, what=f"late comer {number} in a log")
    return found[0]


async def late_comer(port: int, number: int) -> bytes:
    """The status line of an answer."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"GET /_matrix/client/versions?late=%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    line = await reader.readline()
    writer.close()
    return line


async def timeline(user: Client, room: str) -> set[str]:
    """The events of a room, by their names."""
    query = {"dir": "b", "limit": "1000"}
    found = await user.request("GET", f"rooms/{room}/messages", params=query)
    return {str(event["event_id"]) for event in found["chunk"]}


async def test_a_process_that_stops_alone_is_not_held_up(old: Epoch) -> None:
    old.persister.signal()
    assert await asyncio.to_thread(old.persister.wait) == 0
    assert drain_seconds(old.persister) < 1.0
    assert old.worker.probe("/ready")[0] == 200
