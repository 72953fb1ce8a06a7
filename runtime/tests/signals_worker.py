"""A process whose main thread hears nothing while threads come and go: run by test_signals.py.

Says on stdout that it listens; argument: where the main thread sits.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from homeserver_runtime.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Callable


def spawn_threads() -> None:
    while True:
        thread = threading.Thread(target=time.sleep, args=(0.001,))
        thread.start()
        thread.join()


PLACES: dict[str, Callable[[], object]] = {
    "in a lock": threading.Event().wait,
    "computing": lambda: [None for _ in iter(int, 1)],
    "joining threads": spawn_threads,
}


def main() -> None:
    signals = Signals()
    signals.start()
    for _ in range(8):
        threading.Thread(target=spawn_threads, daemon=True).start()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    PLACES[sys.argv[1]]()


if __name__ == "__main__":
    main()
