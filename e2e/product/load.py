"""How much traffic a machine sustains, found by trying, and when all is calm again.

Open loops at about half of that are what is meant by load.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from e2e.cluster.progress import RigError, say, step
from e2e.product.mix import POLLS
from e2e.product.traffic import Outcome, Traffic

RATES: Final = (4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0)
"""Requests a second that are tried in turn, until one is too much."""

STEP: Final = 8.0
CALM: Final = 3.0
CALMS: Final = 20
SLOW: Final = 1.0
KEPT_UP: Final = 0.95


def usual(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The median seconds by kind."""
    seconds: dict[str, list[float]] = {}
    for outcome in outcomes:
        seconds.setdefault(outcome.kind, []).append(outcome.seconds)
    return {kind: statistics.median(spent) for kind, spent in seconds.items()}


def sustained(outcomes: Iterable[Outcome], rate: float, seconds: float) -> bool:
    """Whether so many requests a second were answered, nearly all soon and none with a failure."""
    paced = [outcome for outcome in outcomes if outcome.kind not in POLLS]
    if any(outcome.failed for outcome in paced):
        return False
    soon = sum(outcome.seconds <= SLOW for outcome in paced)
    return soon >= KEPT_UP * rate * seconds


def calm(outcomes: Iterable[Outcome], usually: Mapping[str, float]) -> bool:
    """Whether nothing failed, and requests took about as long as usual, where that is known."""
    seconds: dict[str, list[float]] = {}
    for outcome in outcomes:
        if outcome.failed:
            return False
        if outcome.kind not in POLLS:
            seconds.setdefault(outcome.kind, []).append(outcome.seconds)
    return bool(seconds) and all(
        statistics.median(spent) <= max(2 * usually.get(kind, 0.0), SLOW / 2)
        for kind, spent in seconds.items()
    )


async def ramp(traffic: Traffic, *, seconds: float = STEP) -> float:
    """Find what the machine sustains; leaves the traffic at half of it. Raises RigError."""
    found = 0.0
    with step("what the machine sustains"):
        for rate in RATES:
            traffic.per_second = rate
            # The first requests of this rate wait behind the last ones of the rate before.
            await asyncio.sleep(CALM)
            since = time.monotonic()
            await asyncio.sleep(seconds)
            until = time.monotonic()
            # Enough for those that count as answered soon.
            await asyncio.sleep(SLOW)
            begun = [o for o in traffic.between(since, until) if since <= o.began < until]
            if not sustained(begun, rate, until - since):
                break
            found = rate
            say(f"  {rate:.0f} requests/s sustained")
        traffic.per_second = RATES[0]
        if not found:
            raise RigError(
                f"not even {RATES[0]:.0f} requests a second are answered within a second"
            )
        await traffic.answered(time.monotonic())
    traffic.per_second = found / 2
    return found


async def quiet(traffic: Traffic, seconds: float, kinds: Iterable[str]) -> Sequence[Outcome]:
    """What is asked while nothing happens: some of each of the kinds, and none fails.

    Raises RigError otherwise.
    """
    with step(f"the quiet phase, {traffic.per_second:.0f} requests/s"):
        since = time.monotonic()
        await asyncio.sleep(seconds)
        until = time.monotonic()
        await traffic.answered(until)
    found = traffic.between(since, until)
    if missing := set(kinds) - {outcome.kind for outcome in found}:
        raise RigError(f"the quiet phase has no request of {', '.join(sorted(missing))}")
    if failed := [outcome for outcome in found if outcome.failed]:
        raise RigError(f"{len(failed)} requests failed in the quiet phase: {failed[0]}")
    return found


async def calm_down(traffic: Traffic, usually: Mapping[str, float]) -> None:
    """Wait until requests are answered as usual; says so if they never are."""
    for _ in range(CALMS):
        since = time.monotonic()
        await asyncio.sleep(CALM)
        if calm(traffic.between(since, time.monotonic()), usually):
            return
    say(f"    not as calm as before after {CALMS * CALM:.0f} s")
