"""SIGTERM and SIGINT, heard at once in every phase.

Python runs a signal's handler in the main thread alone, and that may sit in libpq or in a lock: the
handler then waits for it, and where the kernel gave the signal to another thread, nothing wakes it
at all. So both are blocked in every thread, and one thread does nothing but wait for them.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from typing import TYPE_CHECKING

from homeserver_runtime import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

STOP = frozenset({signal.SIGTERM, signal.SIGINT})


def block() -> None:
    """Keeps both for who waits for them, in this thread and in all that it starts from now on.

    A blocked signal stays pending, even for process 1, which otherwise never gets one that it has
    no handler for.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)


class Signals:
    """Calls one handler, in a thread of its own, each time that this process is told to stop."""

    def __init__(self) -> None:
        self.count = 0
        """How often it was told to."""
        self._handler: Callable[[], None] = self.end
        self._lock = threading.Lock()
        self._deferring = False
        self._deferred = False
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)

    def start(self) -> None:
        """Listens from now on; before any other thread runs, or that one would take signals."""
        block()
        self._thread.start()

    def handle(self, handler: Callable[[], None]) -> None:
        """Replaces the handler, which at first is `end`."""
        self._handler = handler

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Keeps the handler waiting for the end of what must not be left half done."""
        with self._lock:
            self._deferring = True
        try:
            yield
        finally:
            with self._lock:
                self._deferring = False
            if self._deferred:
                self._handler()

    @staticmethod
    def end() -> None:
        """Ends the process at once: PostgreSQL undoes what was not committed."""
        failure.end_process(0)

    def _listen(self) -> None:
        while True:
            signal.sigwait(STOP)
            self.count += 1
            with self._lock:
                self._deferred = self._deferring
            if self._deferred:
                continue
            try:
                self._handler()
            except Exception:
                logger.exception("A signal could not be handled")
