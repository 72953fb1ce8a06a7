"""Wakes a thread that sleeps on sockets."""

from __future__ import annotations

import os
import select
from typing import Any

_PIPE_BYTES = 4096


class Waker:
    """One thread sleeps, any other wakes it; a wake-up that comes early is not lost."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def wake(self) -> None:
        """Ends the present sleep, or else the next one."""
        os.write(self._write, b".")

    def sleep(self, *others: Any, seconds: float | None) -> bool:
        """Until woken, or time is up, or one of `others` can be read: True for the last."""
        readable, _, _ = select.select([*others, self._read], [], [], seconds)
        if self._read in readable:
            os.read(self._read, _PIPE_BYTES)
        return any(other in readable for other in others)
