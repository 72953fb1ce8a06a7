"""SIGTERM fails no request that a process has accepted."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.services import LOOPBACK, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures import Homeserver
    from tests.matrix import Client
    from tests.processes import RuntimeProcess

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

POLLS = 20
SENDS = 10


@pytest.fixture
async def worker(homeserver: Homeserver) -> AsyncIterator[RuntimeProcess]:
    """The generic worker; started again for the next test."""
    yield homeserver.generic
    homeserver.generic.kill()
    homeserver.generic.start(HOMESERVER_REVISION="revision-1")
    await asyncio.to_thread(homeserver.wait_ready)


async def start_polls(alice: Client) -> list[asyncio.Task[dict[str, Any]]]:
    """Long polls that nothing but their time-out would end, once the worker holds them."""
    since = (await alice.sync())["next_batch"]
    tasks = [asyncio.create_task(alice.sync(since, wait_seconds=120)) for _ in range(POLLS)]
    # A request of the same user that comes after them on a new connection has been served.
    for _ in range(3):
        await asyncio.sleep(0)
        await alice.request("GET", "account/whoami")
    return tasks


async def test_long_polls_and_sends_in_flight_are_answered(
    worker: RuntimeProcess, alice: Client
) -> None:
    room = await alice.create_room()
    polls = await start_polls(alice)
    sends = [asyncio.create_task(alice.send(room, f"message {n}")) for n in range(SENDS)]
    await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)

    began = time.monotonic()
    worker.signal()
    bodies = await asyncio.gather(*polls)
    events = await asyncio.gather(*sends)
    code = await asyncio.to_thread(worker.wait)

    assert code == 0
    assert time.monotonic() - began < 10
    assert len(bodies) == POLLS
    assert all(body["next_batch"] for body in bodies)
    assert len(set(events)) == SENDS


async def test_a_draining_process_is_unready_and_accepts_nobody(
    worker: RuntimeProcess, alice: Client
) -> None:
    upload = asyncio.create_task(slow_request(worker.client_port, pieces=12))
    await start_polls(alice)
    worker.signal()
    await draining(worker)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, worker.client_port)
    assert await upload == (400, "close")
    assert await asyncio.to_thread(worker.wait) == 0


async def test_a_second_sigterm_stops_at_once(worker: RuntimeProcess) -> None:
    upload = asyncio.create_task(slow_request(worker.client_port, pieces=1000))
    await asyncio.sleep(0.3)
    worker.signal()
    await draining(worker)
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    assert time.monotonic() - began < 5
    with pytest.raises(aiohttp.ClientError):
        await upload


async def draining(worker: RuntimeProcess) -> None:
    """Returns when the process says that it drains."""
    await asyncio.to_thread(
        wait_until,
        lambda: worker.probe("/ready") == (503, {"reason": "draining"}),
        seconds=5,
        what="the process to drain",
    )


async def slow_request(port: int, *, pieces: int) -> tuple[int, str | None]:
    """A request whose body takes 0.1 s a piece; its status and what it says of the connection."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b" "
            await asyncio.sleep(0.1)

    url = f"http://{LOOPBACK}:{port}/_matrix/client/v3/login"
    async with aiohttp.ClientSession() as session, session.post(url, data=body()) as response:
        return response.status, response.headers.get("Connection")
