"""Starts the rig's daemons and ends exactly these, by process id and start time.

A daemon writes its own record before it executes its program, so that no moment exists in which
a daemon runs unrecorded, even if the rig is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster.progress import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RECORD_THEN_EXECUTE = (
    'read -r line < "/proc/$$/stat" && echo "$line" > "$1.new" && mv "$1.new" "$1" '
    '&& shift && exec "$@"'
)
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """One process for all time: its id may be used again, with another start time."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the live process with this id, or None; zombies are not alive."""
        try:
            return cls._parse(Path(f"/proc/{pid}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            return None

    @classmethod
    def recorded(cls, record: Path) -> Process | None:
        """Return the process that wrote this record, if it is still alive."""
        try:
            process = cls._parse(record.read_text())
        except FileNotFoundError:
            return None
        return process if process and process.alive() else None

    @classmethod
    def _parse(cls, stat: str) -> Process | None:
        # The command's name, in parentheses, may hold spaces and parentheses itself.
        before, _, after = stat.rpartition(")")
        fields = after.split()
        if not fields or fields[0] in {"Z", "X"}:
            return None
        return cls(int(before.split(" ", 1)[0]), int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def end(processes: Iterable[Process], *, seconds: float = STOP_SECONDS) -> None:
    """End processes: SIGTERM to all, and SIGKILL to those that live on after `seconds`."""
    living = [process for process in processes if process.alive()]
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, STOP_SECONDS)):
        for process in living:
            process.signal(number)
        deadline = time.monotonic() + patience
        while living and time.monotonic() < deadline:
            living = [process for process in living if process.alive()]
            time.sleep(0.02)


@dataclass(frozen=True)
class Daemons:
    """The daemons whose records are in one directory and whose logs are in another."""

    records: Path
    logs: Path

    def start(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a daemon in a session of its own, unless it runs already."""
        if self.alive(name):
            return
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        record = self.records / name
        record.unlink(missing_ok=True)
        # setsid forks, so that the daemon is no child of this process, which may end before it.
        wrapper = ["setsid", "--fork", "sh", "-c", RECORD_THEN_EXECUTE, "sh", str(record)]
        with self.log(name).open("ab") as log:
            subprocess.run(
                [*wrapper, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                check=True,
            )
        wait_until(record.exists, what=f"start of {name}", seconds=STOP_SECONDS, log=self.log(name))

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def process(self, name: str) -> Process | None:
        """Return the daemon's process if it runs."""
        return Process.recorded(self.records / name)

    def alive(self, name: str) -> bool:
        return self.process(name) is not None

    def names(self) -> list[str]:
        """Return the names of all daemons that were started, the latest first."""
        if not self.records.is_dir():
            return []
        records = [path for path in self.records.iterdir() if path.suffix != ".new"]
        records.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [path.name for path in records]

    def stop(self, *names: str, seconds: float = STOP_SECONDS) -> None:
        """Stop these daemons and forget them."""
        end([found for name in names if (found := self.process(name))], seconds=seconds)
        for name in names:
            (self.records / name).unlink(missing_ok=True)
