"""Requests that wait in the sockets of eight warm processes: how long, and at what cost in CPU.

Run with the runtime and its tests on PYTHONPATH; prints JSON. Arguments: runs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from tests.matrix import Client, register
from tests.processes import RuntimeProcess, Site
from tests.services import postgres, redis_server

from e2e.bench import processor
from e2e.bench.behind_fence import EIGHT, MAIN, READERS, homeserver, stop, warm

USERS: Final = 4
BEFORE: Final = 100
"""Messages that are in the room."""
EACH: Final = 16
"""Requests of each kind that wait."""


@dataclass(frozen=True)
class Talk:
    """People, by their access tokens, and their room."""

    tokens: Sequence[str]
    room: str


def main() -> None:
    """Print seconds for each of the table's rows."""
    told: dict[str, list[float]] = {}
    with (
        postgres() as server,
        redis_server() as redis,
        homeserver(server, redis, "bench", EIGHT) as (site, processes),
    ):
        ports = {process.name: process.client_port for process in processes}
        talk = asyncio.run(_begin(ports[MAIN]))
        stop(processes)
        for number in range(int(sys.argv[1])):
            for what, seconds in asyncio.run(_wait(site, processes, 2 * number + 2, talk)):
                told.setdefault(f"8 processes at once, warm, {what}", []).append(seconds)
            stop(processes)
    print(json.dumps(told))


async def _begin(port: int) -> Talk:
    tokens = [await register(port) for _ in range(USERS)]
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(Client(port, token)) for token in tokens]
        room = await people[0].create_room(preset="public_chat")
        for other in people[1:]:
            await other.request("POST", f"join/{room}", json={})
        for number in range(BEFORE):
            await people[number % USERS].send(room, f"before {number}")
    return Talk(tokens, room)


async def _wait(
    site: Site, processes: Sequence[RuntimeProcess], epoch: int, talk: Talk
) -> list[tuple[str, float]]:
    """What it took once, by what it is."""
    kinds: dict[str, Callable[[Client], Awaitable[Any]]] = {
        "read": lambda who: who.request("GET", f"rooms/{talk.room}/messages?dir=b"),
        "sync": lambda who: who.sync(),
        "send": lambda who: who.send(talk.room, "meanwhile"),
    }
    ports = [process.client_port for process in processes if process.name in READERS]
    async with AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(Client(port, token))
            for port in ports
            for token in talk.tokens
        ]
        with warm(site, processes, epoch=epoch) as fence:
            asked = {
                kind: [
                    asyncio.ensure_future(_answered(ask(people[index % len(people)])))
                    for index in range(EACH)
                ]
                for kind, ask in kinds.items()
            }
            opened, before = time.time(), _spent(site, processes)
            await asyncio.to_thread(fence.leave)
            last = {kind: max(await asyncio.gather(*requests)) for kind, requests in asked.items()}
        spent = _spent(site, processes) - before
    return [
        *((f"fence open → the last {kind} of {EACH} that waited", at - opened)
          for kind, at in last.items()),
        ("CPU used from then to there, PostgreSQL's included", spent),
    ]  # fmt: skip


async def _answered(request: Awaitable[Any]) -> float:
    """When it was, in Unix time."""
    await request
    return time.time()


def _spent(site: Site, processes: Sequence[RuntimeProcess]) -> float:
    """CPU seconds of all processes and of PostgreSQL so far."""
    (postmaster,) = site.query("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
    own = [process.popen.pid for process in processes if process.popen]
    return sum(map(processor.seconds, (*own, *processor.tree(postmaster))))


if __name__ == "__main__":
    main()
