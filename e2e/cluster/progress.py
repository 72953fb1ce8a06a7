"""What the person at the terminal sees while long steps run, and the errors of failed steps.

Must not decide what runs; it only runs a command that it is given and reports on it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

REPORT_SECONDS = 15.0
TAIL_LINES = 30

_print_lock = threading.Lock()


class RigError(Exception):
    """Something that the person who runs the rig can act on; the text is shown as it is."""


def say(message: str) -> None:
    """Print one line of progress to stderr; stdout belongs to commands' results."""
    with _print_lock:
        print(message, file=sys.stderr, flush=True)


def elapsed(seconds: float) -> str:
    """Return a duration as people say it: ``7s``, ``2m15s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented, or a note that there is none."""
    try:
        text = log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return f"    ({log} does not exist)"
    return "\n".join(f"    {line}" for line in text) or f"    ({log} is empty)"


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step: one line when it starts, every 15 s while it lasts, and when it is done."""
    started = time.monotonic()
    done = threading.Event()

    def report() -> None:
        while not done.wait(REPORT_SECONDS):
            say(f"  {title}… {elapsed(time.monotonic() - started)}")

    say(f"  {title}…")
    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
    took = time.monotonic() - started
    if took >= 1:
        say(f"  {title}: done in {elapsed(took)}")


def run_logged(
    command: Sequence[str | os.PathLike[str]],
    *,
    title: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> None:
    """Run a command to its end with its output in `log`.

    Raises RigError with the end of the log if the command fails or cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=directory,
                check=False,
            )
        except FileNotFoundError as error:
            message = f"{title}: {error.filename} is not installed"
            raise RigError(message) from error
    if result.returncode:
        raise RigError(
            f"{title} failed (exit status {result.returncode}); the end of {log}:\n{tail(log)}"
        )


def wait_until(
    condition: Callable[[], bool],
    *,
    what: str,
    seconds: float,
    log: Path | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Wait until `condition` holds.

    Raises RigError, with the end of `log`, after `seconds` or as soon as `alive` turns false.
    """
    deadline = time.monotonic() + seconds
    details = f"; the end of {log}:" if log else ""
    while not condition():
        if not alive():
            raise RigError(f"{what}: the process ended{details}\n{tail(log) if log else ''}")
        if time.monotonic() > deadline:
            raise RigError(
                f"{what}: not after {elapsed(seconds)}{details}\n{tail(log) if log else ''}"
            )
        time.sleep(0.05)
