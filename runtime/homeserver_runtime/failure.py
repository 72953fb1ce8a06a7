"""How the launcher says why a process ends: exit codes and the container's termination message.

Turns exceptions into words for people; tracebacks belong in the log, never in the message.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from homeserver_runtime.contract import ConfigurationRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

REFUSED = os.EX_CONFIG
"""78: the configuration must change before a restart can help."""
FAILED = 1
"""Something outside failed; a restart may help."""

TERMINATION_MESSAGE_BYTES = 4096
"""What Kubernetes keeps of a termination message."""


class StartupFailedError(Exception):
    """Synapse could not start for a reason outside its configuration; the message says which."""


def describe(error: BaseException) -> tuple[int, str]:
    """Exit code and message for an exception that ends the process."""
    if isinstance(error, ConfigurationRefusedError):
        return REFUSED, str(error)
    if isinstance(error, StartupFailedError):
        return FAILED, str(error)
    causes = []
    current: BaseException | None = error
    while current is not None:
        causes.append(f"{type(current).__name__}: {current}".rstrip(": "))
        current = current.__cause__
    return FAILED, "\n  because of ".join(causes)


def report(message: str, termination_log: Path) -> None:
    """Writes `message` to the real stderr and, its end kept, to the termination log."""
    text = message.rstrip("\n") + "\n"
    # Synapse turns sys.stderr into its log; this line is for `kubectl logs` as it stands.
    stream = sys.__stderr__
    if stream is not None:
        stream.write(text)
        stream.flush()
    # Outside Kubernetes there is no such file, and what is said on stderr has to do.
    with contextlib.suppress(OSError):
        termination_log.write_bytes(last_bytes(text, TERMINATION_MESSAGE_BYTES))


def farewell(words: str, document: Mapping[str, Any], termination_log: Path) -> None:
    """Leaves what /state would say in the termination log of a process that ends as it should.

    First a line for people, then one of JSON. A process that was asked to end after it had failed
    leaves its message instead.
    """
    with contextlib.suppress(OSError):
        if termination_log.exists() and termination_log.stat().st_size:
            return
        text = f"{words}\n{json.dumps(document, ensure_ascii=False)}\n"
        termination_log.write_bytes(last_bytes(text, TERMINATION_MESSAGE_BYTES))


def last_bytes(text: str, limit: int) -> bytes:
    """The end of `text` in at most `limit` bytes of whole UTF-8 characters."""
    data = text.encode("utf-8", errors="replace")
    return data[-limit:].decode("utf-8", errors="ignore").encode("utf-8")


def end_process(code: int, before: Callable[[], None] = lambda: None) -> None:
    """Ends the process at once, from whatever depth: an exit exception may be caught on its way."""
    with contextlib.suppress(Exception):
        before()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)
