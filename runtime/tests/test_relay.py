"""Who comes late to a process that has left is answered by its successor."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services import LOOPBACK

from homeserver_runtime import relay

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ELSEWHERE = "127.0.0.2"
NOWHERE = "127.0.0.3"
REQUEST = b"GET /sync HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"

Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where a process that has left was listened to."""
    monkeypatch.setattr(relay, "COME_SECONDS", 1.0)
    monkeypatch.setattr(relay, "END_SECONDS", 5.0)
    with socket.create_server((LOOPBACK, 0), backlog=100) as listening:
        listening.setblocking(False)
        yield listening


@contextlib.asynccontextmanager
async def relaying(late: socket.socket, *successors: str) -> AsyncIterator[asyncio.Task[None]]:
    """As the launcher does it, which has no loop of its own."""
    task = asyncio.create_task(asyncio.to_thread(relay.relay, [late.dup()], successors))
    yield task
    await task


@contextlib.asynccontextmanager
async def successor(
    late: socket.socket, answer: Callable[[bytes], bytes], address: str = ELSEWHERE
) -> AsyncIterator[list[bytes]]:
    """Answers what is asked and closes the connection; the heads it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Length:" in line), 0
        )
        writer.write(answer(head + await reader.readexactly(length)))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, address, late.getsockname()[1])
    async with server:
        yield asked


async def call(late: socket.socket) -> Talk:
    return await asyncio.open_connection(*late.getsockname())


async def ask(late: socket.socket, request: bytes = REQUEST) -> bytes:
    reader, writer = await call(late)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_who_was_held_and_who_comes_later_are_answered_by_the_successor(
    late: socket.socket,
) -> None:
    held = asyncio.create_task(ask(late))
    async with successor(late, lambda _: b"here"), relaying(late, ELSEWHERE):
        assert await held == b"here"
        assert await ask(late) == b"here"


async def test_a_successor_whose_node_is_gone_costs_nobody_an_answer(
    late: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_CONNECT_SECONDS", 0.2)
    with socket.create_server((NOWHERE, late.getsockname()[1]), backlog=0) as full:
        # The kernel answers nobody any more who knocks at a full queue.
        knocks = [socket.socket() for _ in range(3)]
        for each in knocks:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        held = [asyncio.create_task(ask(late)) for _ in range(20)]
        async with successor(late, lambda _: b"here"), relaying(late, NOWHERE, ELSEWHERE):
            assert await asyncio.gather(*held) == [b"here"] * 20
        for each in knocks:
            each.close()


async def test_who_takes_no_answer_holds_nobody_up(
    late: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "END_SECONDS", 2.0)
    _, writer = await call(late)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(REQUEST)
    try:
        async with asyncio.timeout(10):
            async with successor(late, lambda _: b"x" * 50_000_000), relaying(late, ELSEWHERE):
                pass
    finally:
        writer.transport.abort()


async def test_each_request_is_told_to_be_the_last_of_its_connection(late: socket.socket) -> None:
    async with successor(late, lambda _: b"") as asked, relaying(late, ELSEWHERE):
        await ask(late)
    assert asked == [b"GET /sync HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]


async def test_bodies_pass_both_ways_whole(late: socket.socket) -> None:
    body = bytes(range(256)) * 4096
    request = b"PUT /upload HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def echo(received: bytes) -> bytes:
        return received.partition(b"\r\n\r\n")[2]

    async with successor(late, echo), relaying(late, ELSEWHERE):
        assert await ask(late, request) == body


async def test_another_successor_is_asked_where_one_cannot_be_reached(late: socket.socket) -> None:
    async with successor(late, lambda _: b"here"), relaying(late, NOWHERE, ELSEWHERE):
        assert {await ask(late) for _ in range(8)} == {b"here"}


async def test_who_comes_waits_for_a_successor_that_starts_anew(late: socket.socket) -> None:
    async with relaying(late, ELSEWHERE):
        reader, writer = await call(late)
        writer.write(REQUEST)
        # What arrives is passed on in order, so this one has been dialled for in vain.
        await asyncio.sleep(0)
        async with successor(late, lambda _: b"here"):
            assert await reader.read() == b"here"
        writer.close()


async def test_an_answer_that_takes_long_is_waited_for_and_nobody_is_taken_on(
    late: socket.socket,
) -> None:
    go = threading.Event()

    def slow(_: bytes) -> bytes:
        assert go.wait(10)
        return b"at last"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(await asyncio.to_thread(slow, head))
        writer.close()

    port = late.getsockname()[1]
    server = await asyncio.start_server(serve, ELSEWHERE, port)
    async with server, relaying(late, ELSEWHERE) as relayed:
        asked, waits = await call(late), await call(late)
        asked[1].write(REQUEST)
        late.close()
        await refused(port)
        # Who has not asked yet need not be waited for.
        assert await waits[0].read() == b""
        assert not relayed.done()
        go.set()
        assert await asked[0].read() == b"at last"
        for _, writer in (asked, waits):
            writer.close()


async def refused(port: int) -> None:
    """Returns once nobody listens there any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"GET /sync HTTP/1.1\r\nHost: x\r\n", id="a head that is cut off"),
    ],
)
def test_what_is_no_request_of_http_1_stays_as_it_is(head: bytes) -> None:
    assert relay.for_one_request(head) == head


@given(
    names=st.lists(st.sampled_from([b"Host", b"CONNECTION", b"keep-alive", b"X-Connection"])),
    body=st.binary(),
)
def test_nothing_else_of_a_request_changes(names: list[bytes], body: bytes) -> None:
    lines = [b"POST / HTTP/1.1", *(name + b": x" for name in names)]
    kept = [line for line in lines if not line.lower().startswith((b"connection", b"keep-alive"))]
    asked = relay.for_one_request(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    assert asked == b"\r\n".join([*kept, b"Connection: close"]) + b"\r\n\r\n" + body
