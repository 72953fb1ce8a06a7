"""Hands clients who come late to a process that has left on to its successor.

Whoever leads traffic here learns a second late, or five, that others serve. From when the process
closes to clients the kernel holds who still comes; once it has left, each is relayed for a single
request, so that the next one finds its own way. Knows nothing of Synapse, Twisted or the fences.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COME_SECONDS = 5.0
"""How long who comes late is taken on."""
END_SECONDS = 45.0
"""How long what was taken on may take in all: long polls take 30 s by the habit of clients, and
begin when the successor has entered."""

_HEAD_BYTES = 65536
"""Of a request's head; one that is longer is passed on as it is."""
_CHUNK_BYTES = 65536
_PAUSE_SECONDS = 0.1
_CONNECT_SECONDS = 1.0
_CLOSE_SECONDS = 1.0


def relay(listening: Sequence[socket.socket], successors: Sequence[str]) -> None:
    """Relays from listening sockets to the same ports of the successors' addresses.

    Returns once nobody is taken on any more and whoever was is answered, within END_SECONDS. Closes
    the sockets; whoever comes then is refused.
    """
    asyncio.run(_Relay(successors).run(listening))


class _Relay:
    def __init__(self, successors: Sequence[str]) -> None:
        self._successors = successors
        self._taken: set[asyncio.Task[None]] = set()
        self._until = 0.0

    async def run(self, listening: Sequence[socket.socket]) -> None:
        self._until = asyncio.get_running_loop().time() + COME_SECONDS
        doors = [asyncio.create_task(self._accept(each)) for each in listening]
        await asyncio.sleep(COME_SECONDS)
        for door in doors:
            door.cancel()
        await asyncio.gather(*doors, return_exceptions=True)
        if self._taken:
            _, left = await asyncio.wait(self._taken, timeout=END_SECONDS - COME_SECONDS)
            for each in left:
                each.cancel()
            # Who does not take what is left to be sent is not waited for.
            if left:
                await asyncio.wait(left, timeout=_CLOSE_SECONDS)

    async def _accept(self, listening: socket.socket) -> None:
        port = listening.getsockname()[1]
        with listening:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
                task = asyncio.create_task(self._pass_on(connection, port))
                self._taken.add(task)
                task.add_done_callback(self._taken.discard)

    async def _pass_on(self, connection: socket.socket, port: int) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        with contextlib.suppress(OSError):  # of which TimeoutError is one
            async with contextlib.AsyncExitStack() as ends:
                ends.push_async_callback(_closed, writer)
                # Some connect in advance, and never ask.
                async with asyncio.timeout_at(self._until):
                    head = await _read_head(reader)
                if not head:
                    return
                answers, asks = await self._connect(port)
                ends.callback(asks.close)
                asks.write(for_one_request(head))
                rest = asyncio.create_task(_pump(reader, asks))
                ends.callback(rest.cancel)
                await _pump(answers, writer)

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to any of the successors; waits for one that can be reached."""
        while True:
            for address in random.sample(self._successors, len(self._successors)):
                with contextlib.suppress(OSError):
                    # A node that is gone refuses nobody; the next one may well be there.
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        return await asyncio.open_connection(address, port)
            await asyncio.sleep(_PAUSE_SECONDS)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Closes it once everything written has been taken, or nobody waits for that any more."""
    writer.close()
    try:
        await writer.wait_closed()
    finally:
        writer.transport.abort()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """What arrives until a request's head is whole, or will not become whole."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
        chunk = await reader.read(_CHUNK_BYTES)
        if not chunk:
            return head
        head += chunk
    return head


def for_one_request(head: bytes) -> bytes:
    """The beginning of a connection's first request, asking to close the connection after it.

    What is not the whole head of an HTTP/1 request, TLS say, stays as it is.
    """
    fields, end, body = head.partition(b"\r\n\r\n")
    request, *lines = fields.split(b"\r\n")
    if not end or not request.endswith((b" HTTP/1.1", b" HTTP/1.0")):
        return head
    kept = [line for line in lines if not line.lower().startswith((b"connection:", b"keep-alive:"))]
    return b"\r\n".join([request, *kept, b"Connection: close"]) + end + body


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes until no more does, and says so; ends with either connection."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
