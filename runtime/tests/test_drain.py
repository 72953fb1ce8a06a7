"""SIGTERM fails no request that a process has accepted."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.processes import ending
from tests.services import LOOPBACK, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures import Homeserver
    from tests.matrix import Client
    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

POLLS = 20
SENDS = 10
LATE_SECONDS = 5
BOUND_SECONDS = 25.0
"""drain.DRAIN_SECONDS, which cannot be imported without Synapse and its warnings."""


@pytest.fixture
async def worker(homeserver: Homeserver) -> AsyncIterator[RuntimeProcess]:
    """The generic worker; started again for the next test."""
    yield homeserver.generic
    homeserver.generic.kill()
    homeserver.generic.start(HOMESERVER_REVISION="revision-1")
    await asyncio.to_thread(homeserver.wait_ready)


async def start_polls(user: Client) -> list[asyncio.Task[dict[str, Any]]]:
    """Long polls that nothing but their time-out would end, once the worker holds them."""
    since = (await user.sync())["next_batch"]
    tasks = [asyncio.create_task(user.sync(since, wait_seconds=120)) for _ in range(POLLS)]
    # A request of the same user that comes after them on a new connection has been served.
    for _ in range(3):
        await asyncio.sleep(0)
        await user.request("GET", "account/whoami")
    return tasks


async def test_long_polls_and_sends_in_flight_are_answered(
    worker: RuntimeProcess, alice: Client, bob: Client
) -> None:
    room = await alice.create_room()
    polls = await start_polls(bob)
    sends = [asyncio.create_task(alice.send(room, f"message {n}")) for n in range(SENDS)]
    await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)

    began = time.monotonic()
    worker.signal()
    bodies = await asyncio.gather(*polls)
    events = await asyncio.gather(*sends)
    code = await asyncio.to_thread(worker.wait)

    assert code == 0
    # Long before the polls' own time-out and the drain's bound.
    assert time.monotonic() - began < BOUND_SECONDS / 2
    assert len(bodies) == POLLS
    assert all(body["next_batch"] for body in bodies)
    assert len(set(events)) == SENDS


async def test_a_draining_process_is_unready_accepts_nobody_and_finishes_what_it_began(
    worker: RuntimeProcess,
) -> None:
    reader, writer = await begin_request(worker.client_port)
    worker.signal()
    await draining(worker)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, worker.client_port)

    writer.write(b"}")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    writer.close()
    assert await asyncio.to_thread(worker.wait) == 0


async def test_late_comers_are_served_as_long_as_nobody_waits(site: Site) -> None:
    """Who leads them here learns late that others serve."""
    main = site.write("main", role="main", launcher={"late_seconds": LATE_SECONDS})
    with ending(main.start()):
        await asyncio.to_thread(main.wait_ready)
        idle = await asyncio.open_connection(LOOPBACK, main.client_port)
        began = time.monotonic()
        main.signal()
        await draining(main)

        for reader, writer in (await asyncio.open_connection(LOOPBACK, main.client_port), idle):
            writer.write(b"GET /_matrix/client/versions HTTP/1.1\r\nHost: test.example\r\n\r\n")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"connection: close" in answer.lower()
            writer.close()

        # More might have come, although none did.
        assert await asyncio.to_thread(main.wait) == 0
        assert time.monotonic() - began >= LATE_SECONDS
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, main.client_port)


async def test_a_second_sigterm_stops_at_once(worker: RuntimeProcess) -> None:
    reader, writer = await begin_request(worker.client_port)
    worker.signal()
    await draining(worker)
    began = time.monotonic()
    worker.signal()
    assert await asyncio.to_thread(worker.wait) == 0
    assert time.monotonic() - began < BOUND_SECONDS / 2
    assert await reader.read() == b""
    writer.close()


async def draining(worker: RuntimeProcess) -> None:
    """Returns when the process says that it drains."""
    await asyncio.to_thread(
        wait_until,
        lambda: worker.probe("/ready") == (503, {"reason": "draining"}),
        what="the process to drain",
    )


async def begin_request(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request that the process has begun to read, and that lacks its last byte."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(
        b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: localhost\r\n"
        b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{")
    return reader, writer
