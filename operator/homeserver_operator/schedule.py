"""Which HomeServer is next, and when: the rules of the work queue without any waiting.

Time comes in as an argument, so that the rules can be tested exhaustively. No I/O, no clock.

A key is at most once in line and never runs twice at a time; what is added while it runs is kept
for afterwards. Fresh edits go before the backlog.
"""

import heapq
import math
import random
from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.world import Key

NEVER: Final = math.inf


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Times in seconds.

    `pause` is the least time between two runs of one key, in which a burst of child events becomes
    one; `resync` the time after which a key is looked at without any cause; the wait after the nth
    failure in a row is `first_retry * 2**(n-1)`, at most `last_retry`. After a failure `deaf` is
    the most for which events of children are not heeded: one write that keeps failing must not hold
    up a restart, each step of which begins with such an event. Each is spread by `jitter`.
    """

    pause: float = 0.25
    resync: float = 600.0
    first_retry: float = 1.0
    last_retry: float = 300.0
    deaf: float = 15.0
    jitter: float = 0.1


@dataclass
class _Entry:
    due: float = NEVER
    fresh: bool = False
    not_before: float = -math.inf
    deaf_until: float = -math.inf
    failures: int = 0
    running_since: float | None = None
    ready: bool = False


class Schedule:
    """The state of the queue."""

    def __init__(self, rules: Rules, rng: random.Random) -> None:
        self._rules = rules
        self._rng = rng
        self._entries: dict[Key, _Entry] = {}
        self._waiting: list[tuple[float, int, Key]] = []
        self._ready: tuple[list[tuple[float, int, Key]], ...] = ([], [])
        self._count = 0

    def add(self, key: Key, now: float, *, fresh: bool = False) -> None:
        """Put the key in line. A fresh edit is heeded at once even after a failure."""
        entry = self._entries.setdefault(key, _Entry())
        floor = entry.not_before if fresh else max(entry.not_before, entry.deaf_until)
        entry.fresh = entry.fresh or fresh
        self._line_up(key, entry, max(now, floor))

    def add_all(self, now: float) -> None:
        """Put every known key in line, behind what is fresh."""
        for key in list(self._entries):
            self.add(key, now)

    def pop(self, now: float) -> Key | None:
        """Take the next key whose time has come, and count it as running."""
        self._promote(now)
        for line in self._ready:
            while line:
                _, _, key = heapq.heappop(line)
                entry = self._entries.get(key)
                if entry is None or not entry.ready or entry.running_since is not None:
                    continue
                entry.running_since = now
                entry.due, entry.fresh, entry.ready = NEVER, False, False
                return key
        return None

    def done(self, key: Key, now: float, *, again_in: float | None = None) -> None:
        """Note the end of a good run.

        The next is after `again_in` seconds, and the resync's at the latest; NEVER forgets the key.
        """
        entry = self._entries[key]
        entry.running_since, entry.failures, entry.deaf_until = None, 0, -math.inf
        entry.not_before = now + self._rules.pause
        if again_in == NEVER and entry.due == NEVER:
            del self._entries[key]
            return
        wait = self._spread(self._rules.resync)
        if again_in is not None:
            wait = min(wait, again_in)
        due = max(min(entry.due, now + wait), entry.not_before)
        entry.due = NEVER
        self._line_up(key, entry, due)

    def failed(self, key: Key, now: float) -> float:
        """Note the end of a failed run; return the seconds until the next attempt."""
        entry = self._entries[key]
        entry.running_since, entry.failures = None, entry.failures + 1
        entry.not_before = now + self._rules.pause
        # The exponent is bounded only so that the float is.
        wait = self._rules.first_retry * 2.0 ** min(entry.failures - 1, 30)
        wait = self._spread(min(wait, self._rules.last_retry))
        entry.deaf_until = now + min(wait, self._spread(self._rules.deaf))
        if entry.fresh:
            due = entry.not_before
        else:
            # What was added meanwhile, perhaps by what this run has written, is heeded too.
            due = now + wait if entry.due == NEVER else entry.deaf_until
        entry.due = NEVER
        self._line_up(key, entry, due)
        return due - now

    def next_due(self) -> float:
        """When the next waiting key's time comes; NEVER if nothing waits."""
        while self._waiting and not self._current(*self._waiting[0]):
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else NEVER

    def depth(self, now: float) -> int:
        """How many keys are due and not running."""
        self._promote(now)
        return sum(entry.ready for entry in self._entries.values())

    def longest_run(self, now: float) -> float:
        """For how long the oldest running key has been running; 0 if none is."""
        runs = (e.running_since for e in self._entries.values() if e.running_since is not None)
        return now - min(runs, default=now)

    def _line_up(self, key: Key, entry: _Entry, due: float) -> None:
        """Move the key's time to `due` if that is earlier; a running key lines up in `done`."""
        if entry.ready:
            if entry.fresh:
                self._push(self._ready[0], entry.due, key)
        elif due < entry.due:
            entry.due = due
            if entry.running_since is None:
                self._push(self._waiting, due, key)

    def _promote(self, now: float) -> None:
        while self.next_due() <= now:
            due, _, key = heapq.heappop(self._waiting)
            entry = self._entries[key]
            entry.ready = True
            self._push(self._ready[0 if entry.fresh else 1], due, key)

    def _current(self, due: float, _: int, key: Key) -> bool:
        entry = self._entries.get(key)
        return (
            entry is not None
            and entry.due == due
            and not entry.ready
            and entry.running_since is None
        )

    def _push(self, line: list[tuple[float, int, Key]], due: float, key: Key) -> None:
        self._count += 1
        heapq.heappush(line, (due, self._count, key))

    def _spread(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1 - self._rules.jitter, 1 + self._rules.jitter)
