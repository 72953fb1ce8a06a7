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
        # Not select(): Synapse has thousands of connections, and select ends at descriptor 1023.
        sleep = select.poll()
        for each in (*others, self._read):
            sleep.register(each, select.POLLIN)
        ready = {number for number, _ in sleep.poll(None if seconds is None else seconds * 1000)}
        if self._read in ready:
            os.read(self._read, _PIPE_BYTES)
        return not ready <= {self._read}
