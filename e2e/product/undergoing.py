"""One thing that is done while requests flow, and what came of all requests on which it fell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from e2e.product.load import calm_down
from e2e.product.traffic import Outcome, Traffic

AFTER: Final = 2.0
"""Seconds after its end that count as part of it: controllers learn late of readiness."""


@dataclass(frozen=True)
class Span:
    """From when to when what was done can have been noticed, and how many seconds it took."""

    since: float
    until: float
    seconds: float

    def touches(self, outcome: Outcome) -> bool:
        """Whether a part of a request lies in it."""
        return outcome.touches(self.since, self.until)


async def undergo(act: Callable[[], None]) -> Span:
    """Do something that blocks until it is over, in a thread of its own."""
    since = time.monotonic()
    await asyncio.to_thread(act)
    seconds = time.monotonic() - since
    await asyncio.sleep(AFTER)
    return Span(since, time.monotonic(), seconds)


async def aftermath(span: Span, traffic: Traffic, usually: Mapping[str, float]) -> list[Outcome]:
    """All requests from its beginning on, once those of then are answered and all is calm."""
    await traffic.answered(span.until)
    await calm_down(traffic, usually)
    return traffic.between(span.since, time.monotonic())
