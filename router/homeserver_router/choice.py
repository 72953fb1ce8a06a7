"""Which configuration is to be loaded now. No I/O; the clock comes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED_SECONDS: Final = 60.0
"""After this time a refused one is tried again: the machine may have been at fault."""


class Choice:
    """Remembers what is wanted and what was refused; `refused` says why, by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._again_at = 0.0
        self.wanted: str | None = None
        self.refused: dict[str, str] = {}

    def next(self, wanted: str | None, *, loaded: str | None) -> str | None:
        """The configuration to load; None: go on with the one that is loaded."""
        self.wanted = wanted
        if not wanted or wanted == loaded:
            return None
        waits = wanted in self.refused and self._clock() < self._again_at
        return None if waits else wanted

    def refuse(self, name: str, why: str) -> None:
        """Note that a configuration cannot be used."""
        self.refused = {name: why}
        self._again_at = self._clock() + REFUSED_SECONDS

    def accept(self) -> None:
        """Note that the wanted one is in use."""
        self.refused = {}
