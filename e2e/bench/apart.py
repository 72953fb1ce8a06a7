"""Part of a benchmark in a process of its own, which has the sources of one part of the product."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from e2e.bench.machine import REPOSITORY
from e2e.cluster.progress import RigError


def ask_apart(module: str, *arguments: str, part: str, seconds: float) -> Any:
    """Run a module and return what the last line that it prints says, as JSON.

    `part` is the top-level folder whose packages it imports. Raises RigError with its errors if it
    fails, and subprocess.TimeoutExpired after so many seconds.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / part}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise RigError(f"{module} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
