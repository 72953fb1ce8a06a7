"""What a number was measured on: hardware, load and revision of the sources."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def machine() -> str:
    """One line: processor, cores, memory, kernel, Python."""
    cores = len(os.sched_getaffinity(0))
    memory = _first(r"^MemTotal:\s+(\d+)", "/proc/meminfo")
    gibibytes = f"{int(memory) / 2**20:.0f} GiB" if memory else "memory unknown"
    processor = _first(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo") or platform.machine()
    return (
        f"{cores} cores of {processor}, {gibibytes}, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def load() -> float:
    """The load average of the last minute: more than the cores means that things had to wait."""
    return os.getloadavg()[0]


def revision() -> str:
    """The git revision of the sources, with a word if they differ from it."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return f"{commit}, with changes that are not committed" if changed else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _first(pattern: str, file: str) -> str | None:
    found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    return found.group(1) if found else None
