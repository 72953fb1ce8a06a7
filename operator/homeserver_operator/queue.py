"""The work queue: runs reconciles, one at a time per HomeServer and a few in all.

It waits and runs; which key is next is `schedule`'s decision. Whatever a reconcile raises is
logged and tried again with backoff.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from homeserver_operator import logs
from homeserver_operator.api.world import Key
from homeserver_operator.cluster import ApiError
from homeserver_operator.metrics import Metrics
from homeserver_operator.reconcile import RefusedError
from homeserver_operator.schedule import NEVER, Rules, Schedule

RUN_TIMEOUT: Final = 300.0
"""A reconcile that takes longer is cut off; each of its requests has a shorter timeout."""

STUCK_AFTER: Final = RUN_TIMEOUT + 60.0

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Returns the seconds until the next run: None for the resync, NEVER to forget the key."""

log = logging.getLogger(__name__)


class Queue:
    """Keyed, deduplicating, bounded. All methods belong to the event loop that runs `run`."""

    def __init__(
        self,
        reconcile: Reconcile,
        metrics: Metrics,
        *,
        concurrency: int = 4,
        rules: Rules | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._reconcile = reconcile
        self._metrics = metrics
        self._concurrency = concurrency
        self._schedule = Schedule(rules or Rules(), rng or random.Random())  # noqa: S311 - jitter
        self._clock = asyncio.get_running_loop().time
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._closed = False
        metrics.queue_depth.set_function(lambda: self._schedule.depth(self._clock()))

    def add(self, key: Key, *, fresh: bool = False) -> None:
        """Have the key reconciled soon; `fresh` edits of people go before everything else."""
        self._schedule.add(key, self._clock(), fresh=fresh)
        self._wake.set()

    def add_all(self) -> None:
        """Have every known key reconciled, because changes may have been missed."""
        self._schedule.add_all(self._clock())
        self._wake.set()

    def stuck(self) -> str | None:
        """Say what is wrong if a reconcile outlived its timeout."""
        seconds = self._schedule.longest_run(self._clock())
        if seconds <= STUCK_AFTER:
            return None
        return f"a reconcile has been running for {seconds:.0f} s"

    async def run(self) -> None:
        """Start reconciles as they come due, until `close`."""
        while not self._closed:
            self._wake.clear()
            while len(self._running) < self._concurrency:
                key = self._schedule.pop(self._clock())
                if key is None:
                    break
                task = asyncio.create_task(self._run(key), name=f"reconcile {key}")
                self._running.add(task)
                task.add_done_callback(self._ended)
            await self._wait()

    async def close(self, grace: float) -> None:
        """Start nothing more; give what runs `grace` seconds to end, then cancel it."""
        self._closed = True
        self._wake.set()
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _wait(self) -> None:
        """Until something changes, or the next key comes due and there is room for it."""
        due = self._schedule.next_due()
        full = len(self._running) >= self._concurrency
        delay = None if full or due == NEVER else max(0.0, due - self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._wake.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _run(self, key: Key) -> None:
        started = self._clock()
        with logs.about(key):
            try:
                async with asyncio.timeout(RUN_TIMEOUT):
                    again_in = await self._reconcile(key)
            except Exception as error:  # noqa: BLE001 - the one place where everything is retried
                outcome = self._failed(key, error)
            else:
                self._schedule.done(key, self._clock(), again_in=again_in)
                outcome = "gone" if again_in == NEVER else "success"
        self._metrics.reconciles.labels(outcome).inc()
        self._metrics.reconcile_seconds.observe(self._clock() - started)

    def _failed(self, key: Key, error: Exception) -> str:
        wait = self._schedule.failed(key, self._clock())
        match error:
            case RefusedError():
                outcome = "failed"
            case TimeoutError():
                outcome = "timeout"
            case _:
                outcome = "error"
        # A traceback of what the cluster answered tells nothing; one of our own mistakes does.
        expected = isinstance(error, ApiError | RefusedError | TimeoutError)
        log.warning(
            "reconcile failed, next attempt in %.1f s: %s",
            wait,
            error or type(error).__name__,
            exc_info=None if expected else error,
        )
        return outcome
