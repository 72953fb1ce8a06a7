"""Pushes that are under way while a process drains.

Synapse notes that a notification was pushed after the push gateway has taken it. A process that
ends in between has the next one push it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def begin_no_more(homeserver: Any) -> None:
    """Has every pusher end with what it has begun; what comes from now on is the next process's."""
    pool = homeserver.get_pusherpool()
    pool.on_new_notifications = lambda *_args: None
    pool.on_new_receipts = _nothing
    for pusher in _pushers(pool):
        # Else a timer would begin again after a push that failed.
        pusher._start_processing = lambda: None


def in_hand(homeserver: Any) -> int:
    """How many pushers are at work; Synapse keeps that to itself."""
    return sum(pusher._is_processing for pusher in _pushers(homeserver.get_pusherpool()))


def _pushers(pool: Any) -> Iterator[Any]:
    for of_user in list(pool.pushers.values()):
        yield from list(of_user.values())


async def _nothing(*_args: Any) -> None:
    pass
