"""Requests to a router, one by one and as a load."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from tests.agent.waiting import becomes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

NOT_SENT_AGAIN = ("POST 502", "POST ServerDisconnectedError")
"""How HAProxy tells of it: on a connection's first request, and on later ones without a word."""


@dataclass
class Load:
    """An open loop of requests, half of them POSTs; each goes to the first router that takes it."""

    urls: list[str]
    rate: float = 50
    begun: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    workers: dict[str, set[str]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Send until the block ends, then wait for all answers."""
        # Shorter than HAProxy keeps a connection, or one is used just when that closes it.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3)
        timeout = aiohttp.ClientTimeout(total=50)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            over = asyncio.Event()
            task = asyncio.create_task(self._send(session, over))
            try:
                yield self
            finally:
                over.set()
                await task

    async def _send(self, session: aiohttp.ClientSession, over: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        async with asyncio.TaskGroup() as group:
            while not over.is_set():
                group.create_task(self._request(session, self.begun))
                self.begun += 1
                await asyncio.sleep(max(0.0, started + self.begun / self.rate - clock()))

    async def _request(self, session: aiohttp.ClientSession, number: int) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        method = ("GET", "POST")[number % 2]
        user = f"user-{number % 25}"
        for url in self.urls:
            try:
                async with session.request(
                    method, f"{url}/sync", headers={"X-User": user}, data=b"x" * (number % 2)
                ) as response:
                    text = await response.text()
                    if response.status == 200:
                        self.workers.setdefault(user, set()).add(json.loads(text)["worker"])
                    else:
                        self.failures.append(f"{method} {response.status} {text[:80]}")
                    break
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failures.append(f"{method} {error!r}")
                break
        else:
            self.failures.append(f"{method}: nobody takes it")
        self.latencies.append(clock() - started)

    @property
    def sent(self) -> int:
        """How many have got an answer, or none for good."""
        return len(self.latencies)

    @property
    def lost(self) -> list[str]:
        """What failed, but what may not be sent again and had just reached a worker that went."""
        return [each for each in self.failures if not each.startswith(NOT_SENT_AGAIN)]


async def ask(url: str, user: str = "a", path: str = "/sync") -> tuple[int, Mapping[str, Any]]:
    """One request's status, and what the worker and the router said; 0: nobody listens."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url + path, headers={"X-User": user}) as response,
        ):
            text = await response.text()
            said = json.loads(text) if response.status == 200 else {}
            return response.status, {**said, "pod": response.headers.get("X-Pod")}
    except aiohttp.ClientError:
        return 0, {}


async def shares(url: str, keys: int = 60) -> dict[str, str]:
    """Which worker each of some users is sent to."""
    users = [f"user-{number}" for number in range(keys)]
    answers = await asyncio.gather(*(ask(url, user) for user in users))
    return {user: said.get("worker", "") for user, (_, said) in zip(users, answers, strict=True)}


async def reached(url: str, worker: str) -> None:
    """Wait until some user is sent to this worker."""

    async def is_asked() -> bool:
        return worker in (await shares(url)).values()

    await becomes(is_asked)
