"""How long whoever watches waits before it tries again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Pauses:
    """Seconds between attempts, growing from the first to the last one and then without an end."""

    first: float = 0.5
    last: float = 30.0

    def __iter__(self) -> Iterator[float]:
        pause = self.first
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            pause = min(pause * 2, self.last)


PATIENT: Final = Pauses()
