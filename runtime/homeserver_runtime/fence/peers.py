"""What processes that stop together tell each other, and those that wait tell them.

Whether one still needs the others, and who can be asked in its place. They say it by shared
advisory locks of their lock sessions, so a process that dies takes its word with it. Nobody waits
for these locks, and nothing here decides about the drain.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from homeserver_runtime.fence.claim import BUSY, IDLE, NEXT, Claim
from homeserver_runtime.fence.statements import ASK, CLEAR, OFFER, SAY, UNSAY

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS = 0.02, 0.1
"""Between two looks at all locks of the server: at first, and in a drain that takes long."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Whether others needed this process when it asked, at `asked` of the monotonic clock.

    `hurried`: others of a later epoch waited for it to go. `successors` are the addresses of those
    that are about to enter and can answer what it can.
    """

    asked: float
    needed: bool
    hurried: bool = False
    successors: tuple[str, ...] = ()


class Peers:
    """One process among those of its cohort.

    `announce`, `entered` and `exchange` are for the thread of the lock session, the rest for any.

    Args:
        claim: names the cohort.
        wake: makes that thread call `exchange` soon.

    """

    def __init__(self, claim: Claim, wake: Callable[[], None]) -> None:
        self._kind, self._epoch = claim.cohort_key
        self._name, self._duties = claim.name_key, list(claim.duties)
        self._address = claim.address
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
        """Says that this process waits for entry: whoever is of an earlier epoch must go.

        And who has none but its duties can send clients where it listens.
        """
        if self._address and self._word(session) != NEXT:
            with session.cursor() as cursor:
                cursor.execute(CLEAR)
                cursor.execute(OFFER, (self._name, self._duties, self._address))
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
            cursor.execute(
                ASK,
                {
                    "kind": self._kind,
                    "epoch": self._epoch,
                    "name": self._name,
                    "duties": self._duties,
                },
            )
            needed, hurried, successors = cursor.fetchone()
            self.answer = Answer(
                asked=asked, needed=needed, hurried=hurried, successors=tuple(successors)
            )

    def _word(self, session: Any) -> int | None:
        """What was said last; what was said in an earlier session has ended with it."""
        return self._said[1] if self._said and self._said[0] is session else None

    def _change(self, session: Any, word: int | None) -> None:
        said = self._word(session)
        if word == said:
            return
        with session.cursor() as cursor:
            # In this order: who asks in between must not find this process silent.
            if word is not None:
                cursor.execute(SAY, (word, self._epoch))
            self._said = None if word is None else (session, word)
            if said is not None:
                cursor.execute(UNSAY, (said, self._epoch))
