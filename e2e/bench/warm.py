"""What remains of a start once a process is warm, beside a cold one. Needs no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from e2e.bench.machine import REPOSITORY
from e2e.bench.table import Measurement
from e2e.cluster.progress import RigError, step

LONGEST = 1800.0


def measure(runs: int) -> Iterator[Measurement]:
    """Measure in a process of its own, which has the runtime's tests to start processes by."""
    with step("Synapse, cold and behind a fence"):
        done = subprocess.run(
            [sys.executable, "-m", "e2e.bench.warming", str(runs)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'runtime'}:{REPOSITORY}"},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    if done.returncode:
        raise RigError(f"e2e.bench.warming failed:\n{done.stderr}")
    for what, seconds in json.loads(done.stdout.splitlines()[-1]).items():
        if ", cold, " in what:
            yield Measurement(what, "s", seconds)
        else:
            yield Measurement(what, "ms", [round(value * 1000) for value in seconds])
