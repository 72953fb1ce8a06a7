"""Which configuration is to be loaded now. No I/O; the clock comes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED_SECONDS: Final = 60.0
"""After this time a refused one is tried again: the machine may have been at fault."""
HELD_SECONDS: Final = 30.0
"""For so long at most a reload waits for requests that are held, which the old process loses."""


class Choice:
    """Remembers what is wanted and what was refused; `refused` says why, by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = 0.0
        self._again_at = 0.0
        self.wanted: str | None = None
        self.refused: dict[str, str] = {}

    def next(self, wanted: str | None, *, loaded: str | None, holds: bool) -> str | None:
        """The configuration to load; None: go on with the one that is loaded."""
        now = self._clock()
        if wanted != self.wanted:
            self.wanted, self._since = wanted, now
        if not wanted or wanted == loaded:
            return None
        if wanted in self.refused and now < self._again_at:
            return None
        waits = holds and loaded is not None and now - self._since < HELD_SECONDS
        return None if waits else wanted

    def refuse(self, name: str, why: str) -> None:
        """Note that a configuration cannot be used."""
        self.refused = {name: why}
        self._again_at = self._clock() + REFUSED_SECONDS

    def accept(self) -> None:
        """Note that the wanted one is in use."""
        self.refused = {}
