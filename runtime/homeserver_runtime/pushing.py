"""What pushers begin and end with, where Synapse would push twice or not at all.

Synapse notes that a notification was pushed after the push gateway has taken it: a process that
ends in between has the next one push it again. And it looks once for whom an event concerns: where
the database is away just then, nobody is told before their next event. Pushes nothing itself.
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


def told(homeserver: Any) -> int:
    """The stream position up to which pushers have been told of events."""
    return int(homeserver.get_pusherpool()._last_room_stream_id_seen)


def forget_told(homeserver: Any, since: int) -> None:
    """Has the next look for whom events concern begin at a stream position.

    Who has pushed them already does not push them again.
    """
    homeserver.get_pusherpool()._last_room_stream_id_seen = min(since, told(homeserver))


def _pushers(pool: Any) -> Iterator[Any]:
    for of_user in list(pool.pushers.values()):
        yield from list(of_user.values())


async def _nothing(*_args: Any) -> None:
    pass
