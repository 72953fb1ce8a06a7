"""How long a cluster takes to come up, with everything built before and from nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.bench.machine import REPOSITORY
from e2e.bench.rig import own_instance
from e2e.bench.table import Measurement
from e2e.cluster.instance import VARIABLE
from e2e.cluster.progress import RigError

LONGEST = 3600.0
"""Seconds for a start; Kubernetes is compiled in a cold one."""

CACHE_VARIABLE = "XDG_CACHE_HOME"


def measure(runs: int, *, cold: bool) -> Iterator[Measurement]:
    """Measure `runs` warm starts and, if asked for, a cold one."""
    if cold:
        directory = Path(tempfile.mkdtemp(prefix="homeserver-bench-"))
        try:
            up, _ = _up_and_down(cache=directory)
            # Go's downloads are not in there: what the network does is not for us to measure.
            yield Measurement("cluster with images, up, everything built anew", "s", [up])
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    # Builds what is not built yet.
    _up_and_down()
    times = [_up_and_down() for _ in range(runs)]
    yield Measurement("cluster with images, up, everything built", "s", [up for up, _ in times])
    yield Measurement("cluster, down", "s", [down for _, down in times])


def _up_and_down(cache: Path | None = None) -> tuple[float, float]:
    """Seconds that each took; raises RigError."""
    instance = own_instance()
    environment = {**os.environ, VARIABLE: str(instance.number)}
    if cache:
        environment[CACHE_VARIABLE] = str(cache)
    try:
        up = _timed("up", environment)
    finally:
        down = _timed("down", environment)
    return up, down


def _timed(command: str, environment: dict[str, str]) -> float:
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "e2e.cluster", command],
        cwd=REPOSITORY,
        env=environment,
        check=False,
        timeout=LONGEST,
    )
    if result.returncode:
        raise RigError(f"`e2e.cluster {command}` failed")
    return time.monotonic() - started
