"""How long the core thinks: a large homeserver, and many usual ones. Needs no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from e2e.bench.machine import REPOSITORY
from e2e.bench.table import Measurement
from e2e.cluster.progress import RigError, step

MANY = 1000
LARGE_AIM = 50.0
MANY_AIM = 15.0
LONGEST = 1800.0


def measure(runs: int) -> Iterator[Measurement]:
    """Measure in a process of its own, which holds nothing but the core."""
    with step("decisions on homeservers in memory"):
        done = subprocess.run(
            [sys.executable, "-m", "e2e.bench.planning", str(runs), str(MANY)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "operator")},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    if done.returncode:
        raise RigError(f"e2e.bench.planning failed:\n{done.stderr}")
    for name, seconds in json.loads(done.stdout).items():
        which, world = name.split(", ")
        if which == "large":
            what = f"plan of 60 processes, {world}, processor"
            yield Measurement(what, "ms", [value * 1000 for value in seconds], aim=LARGE_AIM)
        else:
            what = f"plans of {MANY} HomeServers of 12 processes, {world}, processor"
            yield Measurement(what, "s", seconds, aim=MANY_AIM)
