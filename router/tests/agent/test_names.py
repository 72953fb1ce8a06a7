"""Services of others are followed by their names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from tests.agent.waiting import until

from homeserver_router import names
from homeserver_router.endpoints import Address, members
from homeserver_router.metrics import Metrics
from homeserver_router.names import Names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

A, B, C = (Address(f"10.0.0.{number}", 8080) for number in (1, 2, 3))


class NameServer:
    """What the pod's resolver would say, until a test says otherwise."""

    def __init__(self) -> None:
        self.known: dict[str, list[Address]] = {}
        self.asked: list[str] = []

    async def resolve(self, name: str, _port: int) -> list[Address]:
        self.asked.append(name)
        if name not in self.known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self.known[name]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    server = NameServer()
    monkeypatch.setattr(names, "resolve", server.resolve)
    monkeypatch.setattr(names, "PERIOD_SECONDS", 0.01)
    return server


class Followed:
    """Names that are followed, and how often they have moved."""

    def __init__(self) -> None:
        self.moves = 0
        self.metrics = Metrics()
        self.names = Names(self._moved, self.metrics)

    def _moved(self) -> None:
        self.moves += 1

    @property
    def addresses(self) -> dict[str, Address]:
        found = [members(each) for each in self.names.endpoints.values()]
        return {pod: address for each in found for pod, address in each.items()}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.names.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def looked_again(server: NameServer) -> None:
    server.asked.clear()
    await until(lambda: len(server.asked) > 2)


async def test_a_name_that_is_not_known_yet_is_found_as_soon_as_it_is(server: NameServer) -> None:
    followed = Followed()
    async with followed.running():
        followed.names.follow({"auth": 8080})
        await looked_again(server)
        assert (followed.addresses, followed.moves) == ({}, 0)
        assert followed.metrics.name_errors._value.get() > 1
        server.known["auth"] = [A]
        await until(lambda: followed.addresses == {"auth": A})
        assert followed.moves == 1


async def test_a_name_that_moves_is_followed(server: NameServer) -> None:
    followed = Followed()
    server.known["auth"] = [A]
    async with followed.running():
        followed.names.follow({"auth": 8080})
        await until(lambda: followed.addresses == {"auth": A})
        server.known["auth"] = [B]
        await until(lambda: followed.addresses == {"auth": B})
        await looked_again(server)
        assert followed.moves == 2


async def test_a_name_stays_where_it_was_while_nobody_tells(server: NameServer) -> None:
    followed = Followed()
    server.known["auth"] = [A]
    async with followed.running():
        followed.names.follow({"auth": 8080})
        await until(lambda: bool(followed.addresses))
        del server.known["auth"]
        await looked_again(server)
        assert followed.addresses == {"auth": A}


async def test_of_several_addresses_the_one_in_use_stays_in_whichever_order(
    server: NameServer,
) -> None:
    followed = Followed()
    server.known["auth"] = [B, A]
    async with followed.running():
        followed.names.follow({"auth": 8080})
        await until(lambda: followed.addresses == {"auth": B})
        server.known["auth"] = [A, B]
        await looked_again(server)
        assert followed.moves == 1
        server.known["auth"] = [A, C]
        await until(lambda: followed.addresses == {"auth": A})


async def test_only_names_in_use_are_asked_for(server: NameServer) -> None:
    followed = Followed()
    server.known = {"auth": [A], "other": [B]}
    async with followed.running():
        followed.names.follow({"auth": 8080, "other": 8080})
        await until(lambda: len(followed.addresses) == 2)
        followed.names.follow({"other": 8080})
        assert followed.addresses == {"other": B}
        await looked_again(server)
        assert set(server.asked) == {"other"}


async def test_a_real_name_is_resolved() -> None:
    assert Address("127.0.0.1", 80) in await names.resolve("localhost", 80)


async def test_a_name_that_cannot_be_one_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "PERIOD_SECONDS", 0.01)
    followed = Followed()
    async with followed.running():
        followed.names.follow({"a" * 64: 80, "localhost": 80})
        await until(lambda: followed.metrics.name_errors._value.get() > 2)
        await until(lambda: "localhost" in followed.addresses)
