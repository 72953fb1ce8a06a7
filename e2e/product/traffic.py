"""A steady stream of a few people's requests, and how each of them fared.

An open loop: requests begin when they are due, whether or not earlier ones have been answered, so
that a pause shows as what it costs. Bounded in number and time; judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from e2e.product.matrix import User
from e2e.product.plain import Answer

SYNC_MILLISECONDS = 10_000


@dataclass(frozen=True)
class Outcome:
    """One request: when it began (monotonic seconds), how long it took, how it ended.

    `status` is 0 where no answer came; `problem` then says why.
    """

    kind: str
    began: float
    seconds: float
    status: int
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether the client got anything but what it asked for."""
        return not 200 <= self.status < 300


@dataclass
class Traffic:
    """What `users`, all in `room`, do from `flow` on: send, read, sync.

    `acknowledged` are the numbered texts that the server said it has.
    """

    users: Sequence[User]
    room: str
    outcomes: list[Outcome] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    _number: int = 0

    @contextlib.asynccontextmanager
    async def flow(self, per_second: float) -> AsyncIterator[Traffic]:
        """Requests flow while the block runs; what is under way when it ends is waited for."""
        ends = asyncio.Event()
        people = [asyncio.create_task(self._follow(user, ends)) for user in self.users]
        source = asyncio.create_task(self._send_all(per_second, ends))
        try:
            yield self
        finally:
            ends.set()
            await asyncio.gather(source, *people)

    def between(self, since: float, until: float) -> list[Outcome]:
        """Requests of which a part lies between two moments."""
        return [
            outcome
            for outcome in self.outcomes
            if outcome.began < until and outcome.began + outcome.seconds > since
        ]

    async def _send_all(self, per_second: float, ends: asyncio.Event) -> None:
        began, due = time.monotonic(), 0
        under_way: set[asyncio.Task[None]] = set()
        while not ends.is_set():
            task = asyncio.create_task(self._step(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1
            wait = began + due / per_second - time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), max(wait, 0))
        await asyncio.gather(*under_way)

    async def _step(self, due: int) -> None:
        user = self.users[due % len(self.users)]
        if due % 2:
            await self._timed(
                "read", lambda: user.call("GET", f"{_room(self.room)}/joined_members")
            )
            return
        self._number += 1
        text = f"message {self._number}"
        path = f"{_room(self.room)}/send/m.room.message/t{self._number}-{id(self):x}"
        body = {"msgtype": "m.text", "body": text}
        outcome = await self._timed("send", lambda: user.call("PUT", path, body))
        if not outcome.failed:
            self.acknowledged.append(text)

    async def _follow(self, user: User, ends: asyncio.Event) -> None:
        """A client that always has a sync under way."""
        since = ""
        while not ends.is_set():
            path = f"/_matrix/client/v3/sync?timeout={SYNC_MILLISECONDS if since else 0}"
            if since:
                path += f"&since={quote(since, safe='')}"
            answers: list[Any] = []

            async def ask(path: str = path, answers: list[Any] = answers) -> Answer:
                answers.append(await user.call("GET", path))
                found: Answer = answers[0]
                return found

            outcome = await self._timed("sync", ask)
            if outcome.failed:
                await asyncio.sleep(0.1)
            else:
                since = answers[0].content["next_batch"]

    async def _timed(self, kind: str, ask: Callable[[], Any]) -> Outcome:
        began = time.monotonic()
        status, problem = 0, ""
        try:
            answer: Answer = await ask()
            status = answer.status
            if not 200 <= status < 300:
                problem = str(answer.content)[:200]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        outcome = Outcome(kind, began, time.monotonic() - began, status, problem)
        self.outcomes.append(outcome)
        return outcome


def _room(room: str) -> str:
    return f"/_matrix/client/v3/rooms/{quote(room, safe='')}"
