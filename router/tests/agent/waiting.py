"""Waiting for conditions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], object], *, seconds: float = 15.0) -> float:
    """Wait for the condition; return how long it took."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of the outside have no event
            await asyncio.sleep(0.01)
    return time.monotonic() - started


async def becomes(condition: Callable[[], Awaitable[object]], *, seconds: float = 15.0) -> float:
    """Wait for a condition that has to be asked for; return how long it took."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - conditions of the outside have no event
            await asyncio.sleep(0.01)
    return time.monotonic() - started
