"""Whether routes and addresses that the agent has heard of belong together. No I/O.

They come by two watches, in either order. When main is exchanged, both change: a class that comes
to main with the new routes would be asked of the main before, and one that leaves it of the main
after, and each could only refuse it. So the router's Service says which revision of main its
configuration is meant for, and the slices of main's Service say which one they lead to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MEET_SECONDS: Final = 5.0
"""How long one waits for the other. The operator writes both at once, slices take a moment."""


class Meeting:
    """Remembers since when they do not."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard: tuple[str | None, frozenset[str | None]] = (None, frozenset())
        self._since = 0.0

    def is_awaited(self, told: str | None, shown: frozenset[str | None]) -> bool:
        """Whether to leave everything as it is until the revision `told` is the one `shown`.

        Not for long: the operator may end between its two writes. Where nothing is told, it is of a
        release that does not know of this.
        """
        if (told, shown) != self._heard:
            self._heard, self._since = (told, shown), self._clock()
        if told is None or shown == {told}:
            return False
        return self._clock() - self._since < MEET_SECONDS
