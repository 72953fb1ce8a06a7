"""A steady stream of a few people's requests, and how each of them fared.

An open loop: requests begin when they are due, whether or not earlier ones have been answered, so
that a pause shows as what it costs, and a request's time counts from when it was due. Bounded in
number and time; judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from e2e.product.matrix import User
from e2e.product.mix import FEDERATION, NEEDS, Mix, Request, next_of
from e2e.product.plain import Answer, Plain


@dataclass(frozen=True)
class Outcome:
    """One request: when it was due (monotonic seconds), how long it took from then, how it ended.

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

    def touches(self, since: float, until: float) -> bool:
        """Whether a part of it lies between two moments."""
        return self.began < until and self.began + self.seconds > since


@dataclass
class Traffic:
    """What `users`, all in `room`, do from `flow` on: the `kinds` in turn, and the long `polls`.

    `per_second` may be changed on the way; so many requests begin, long polls aside. Each user has
    one of each of the `polls` under way. What is of FEDERATION is asked by `other`. `acknowledged`
    are the numbered texts that the server said it has.
    """

    users: Sequence[User]
    room: str
    kinds: Sequence[str] = ("send", "read")
    polls: Sequence[str] = ("sync",)
    per_second: float = 1.0
    other: Plain | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    _under_way: dict[asyncio.Future[None], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mix = Mix(self.room)

    @contextlib.asynccontextmanager
    async def flow(self, per_second: float) -> AsyncIterator[Traffic]:
        """Requests flow while the block runs; what is under way when it ends is waited for."""
        self.per_second = per_second
        for kind in sorted({NEEDS[kind] for kind in self.kinds if kind in NEEDS}):
            first = await self._ask(kind, self.users[0], time.monotonic())
            if first.failed:
                raise AssertionError(f"the first {kind}: {first.status} {first.problem}")
        ends = asyncio.Event()
        people = [
            asyncio.create_task(self._follow(user, poll, ends))
            for user in self.users
            for poll in self.polls
        ]
        source = asyncio.create_task(self._ask_all(ends))
        try:
            yield self
        finally:
            ends.set()
            await asyncio.gather(source, *people)

    def between(self, since: float, until: float) -> list[Outcome]:
        """Requests of which a part lies between two moments, as far as they have ended."""
        return [outcome for outcome in self.outcomes if outcome.touches(since, until)]

    async def answered(self, moment: float) -> None:
        """Wait until nothing is under way that began before a moment. Each request is bounded."""
        while earlier := [end for end, began in self._under_way.items() if began < moment]:
            await asyncio.wait(earlier)

    async def _ask_all(self, ends: asyncio.Event) -> None:
        due, turn = time.monotonic(), 0
        tasks: set[asyncio.Task[Outcome]] = set()
        while not ends.is_set():
            task = asyncio.create_task(self._ask(*self._turn(turn), due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            turn += 1
            due += 1 / self.per_second
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), max(due - time.monotonic(), 0))
        await asyncio.gather(*tasks)

    def _turn(self, turn: int) -> tuple[str, User]:
        """Everybody does everything, although the number of kinds may be that of the users."""
        round_, position = divmod(turn, len(self.kinds))
        return self.kinds[position], self.users[(round_ + position) % len(self.users)]

    async def _ask(self, kind: str, user: User, due: float) -> Outcome:
        request = self._mix.request(kind, user)
        asks = self.other if self.other and kind in FEDERATION else user

        async def ask() -> Answer:
            answer = await asks.call(*request)
            if 200 <= answer.status < 300:
                self._mix.learn(kind, answer.content)
            return answer

        outcome = await self._timed(kind, ask, due)
        if kind == "send" and not outcome.failed:
            self.acknowledged.append(request.body["body"])
        return outcome

    async def _follow(self, user: User, kind: str, ends: asyncio.Event) -> None:
        """A client that always has a long poll under way."""
        since = ""
        while not ends.is_set():
            request = self._mix.poll(kind, since)
            answers: list[Any] = []

            async def ask(request: Request = request, answers: list[Any] = answers) -> Answer:
                answers.append(await user.call(*request))
                found: Answer = answers[0]
                return found

            outcome = await self._timed(kind, ask, time.monotonic())
            if not outcome.failed:
                since = next_of(kind, answers[0].content)
                continue
            if answers and answers[0].error == "M_UNKNOWN_POS":
                since = ""
            await asyncio.sleep(0.1)

    async def _timed(
        self, kind: str, ask: Callable[[], Awaitable[Answer]], began: float
    ) -> Outcome:
        status, problem = 0, ""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way[end] = began
        try:
            answer = await ask()
            status = answer.status
            if not 200 <= status < 300:
                problem = str(answer.content)[:200]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            del self._under_way[end]
            end.set_result(None)
        outcome = Outcome(kind, began, time.monotonic() - began, status, problem)
        self.outcomes.append(outcome)
        return outcome
