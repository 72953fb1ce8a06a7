"""Workers on loopback that say their names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Self

from aiohttp import web
from tests.agent.waiting import until

from e2e.cluster.ports import free_port
from homeserver_router.endpoints import Address

if TYPE_CHECKING:
    from collections.abc import Iterable


class Worker:
    """A process at an address of its own that answers with its name; a poll takes `seconds`."""

    def __init__(self, name: str, address: Address, *, seconds: float = 0.02) -> None:
        self.name = name
        self.address = address
        self.seconds = seconds
        self.served = 0
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None

    def listen(self) -> None:
        """Only listen: what arrives is held, as by a process that is warm."""
        self._socket = socket.create_server(self.address, backlog=1024)

    async def start(self) -> Self:
        """Serve."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        if self._socket is None:
            self.listen()
        assert self._socket is not None
        await web.SockSite(self._runner, self._socket, backlog=1024).start()
        return self

    async def stop(self) -> None:
        """Finish what is in hand and, as draining processes do, what is dialled; then refuse."""
        if self._runner:
            # In vain where more and more comes, because HAProxy knows of nobody else.
            with contextlib.suppress(TimeoutError):
                await until(self._at_rest, seconds=1)
            await self._runner.cleanup()
        self._runner = self._socket = None

    def _at_rest(self) -> bool:
        assert self._runner
        assert self._runner.server
        return not self._runner.server.connections

    async def _handle(self, request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(float(request.query.get("seconds", self.seconds)))
        self.served += 1
        return web.json_response({"worker": self.name, "version": request.headers["X-Version"]})


class Workers:
    """Workers on loopback addresses, one port for all; a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self.all: list[Worker] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self.all:
            await each.stop()

    def new(self, name: str) -> Worker:
        """One that does not listen yet."""
        number = len(self.all) + 1
        worker = Worker(name, Address(f"127.9.{number // 200}.{number % 200 + 1}", self.port))
        self.all.append(worker)
        return worker

    def warm(self, *names: str) -> list[Worker]:
        """Ones that only listen."""
        several = [self.new(name) for name in names]
        for each in several:
            each.listen()
        return several

    async def started(self, *names: str) -> list[Worker]:
        return [await self.new(name).start() for name in names]


async def exchange(old: Iterable[Worker], new: Iterable[Worker]) -> None:
    """The old ones end, then the new ones serve."""
    for each in old:
        await each.stop()
    for each in new:
        await each.start()


def addresses(*workers: Worker) -> dict[str, Address]:
    return {each.name: each.address for each in workers}
