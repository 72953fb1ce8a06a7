"""What processes that stop together tell each other: whether one still needs the others.

They say it by shared advisory locks of their lock sessions, so a process that dies takes its word
with it. Nobody waits for these locks, and nothing here decides about the drain.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from homeserver_runtime.fence.claim import BUSY, IDLE, NEXT, Claim
from homeserver_runtime.fence.statements import NEEDED, SAY, UNSAY

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS = 0.02, 0.1
"""Between two looks at all locks of the server: at first, and in a drain that takes long."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Whether others needed this process when it asked, at `asked` of the monotonic clock."""

    asked: float
    needed: bool


class Peers:
    """One process among those of its cohort.

    `announce`, `entered` and `exchange` are for the thread of the lock session, the rest for any.

    Args:
        claim: names the cohort.
        wake: makes that thread call `exchange` soon.

    """

    def __init__(self, claim: Claim, wake: Callable[[], None]) -> None:
        self._kind, self._epoch = claim.cohort_key
        self._wake = wake
        self._busy: bool | None = None
        self._began = 0.0
        self._asks = True
        self._said: tuple[Any, int] | None = None
        self.answer: Answer | None = None
        """The latest; None before there is one."""

    def say(self, *, busy: bool, asks: bool = True) -> None:
        """Says that this process drains, and whether it is busy; `asks` for an answer, too."""
        self._asks = asks
        if self._busy is None:
            self._began = time.monotonic()
        if busy is not self._busy:
            self._busy = busy
            self._wake()

    @property
    def pause(self) -> float | None:
        """Seconds until the next `exchange`; None while there is nothing to ask."""
        if self._busy is None or not self._asks:
            return None
        first, later = _LOOK_SECONDS
        return min(max(first, (time.monotonic() - self._began) / 10), later)

    def announce(self, session: Any) -> None:
        """Says that this process waits for entry: whoever is of an earlier epoch must go."""
        self._change(session, NEXT)

    def entered(self, session: Any) -> None:
        """Says nothing any more."""
        self._change(session, None)

    def exchange(self, session: Any) -> None:
        """Tells and asks, if this process drains; raises psycopg2.Error as the session does."""
        if self._busy is None:
            return
        asked = time.monotonic()
        self._change(session, BUSY if self._busy else IDLE)
        if not self._asks:
            return
        with session.cursor() as cursor:
            cursor.execute(NEEDED, {"kind": self._kind, "epoch": self._epoch})
            self.answer = Answer(asked=asked, needed=bool(cursor.fetchone()[0]))

    def _change(self, session: Any, word: int | None) -> None:
        # What was said in an earlier session has ended with it.
        said = self._said[1] if self._said and self._said[0] is session else None
        if word == said:
            return
        with session.cursor() as cursor:
            # In this order: who asks in between must not find this process silent.
            if word is not None:
                cursor.execute(SAY, (word, self._epoch))
            self._said = None if word is None else (session, word)
            if said is not None:
                cursor.execute(UNSAY, (said, self._epoch))
