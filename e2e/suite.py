"""Everything that needs the real cluster, from `up` to `down`: `python -m e2e.suite`.

`--soak [--rounds N]` also runs what takes longer, each test N times, and writes a report.

First the demonstration, as a newcomer runs it; then the tests; in the end nothing is left but the
cache, whatever happened. Against a cluster of one's own (HOMESERVER_E2E_CLUSTER=current) that
cluster stays up.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from e2e.cluster import api
from e2e.demo.__main__ import NAMESPACE as DEMO_NAMESPACE
from e2e.product.installation import REPOSITORY, Installation

SOAK_ROUNDS = 3


def main() -> int:
    """Run it all; 0 if everything passed."""
    parser = argparse.ArgumentParser(prog="python -m e2e.suite", description=__doc__)
    parser.add_argument("--soak", action="store_true", help="longer, repeated, with a report")
    parser.add_argument(
        "--rounds", type=int, default=SOAK_ROUNDS, help=f"with --soak: of each test ({SOAK_ROUNDS})"
    )
    options = parser.parse_args()
    try:
        return _soak(options.rounds) if options.soak else _test()
    finally:
        if api.is_own():
            _run("e2e.cluster", "down")


def _test() -> int:
    return _demo() or _pytest("cluster and not soak")


def _soak(rounds: int) -> int:
    from e2e.bench.machine import load  # noqa: PLC0415 - only when there is a report to write
    from e2e.soak.report import write_report  # noqa: PLC0415 - likewise

    notes = [f"rounds: {rounds}", f"load average at the start: {load():.1f}"]
    failed = _demo()
    notes.append(f"demonstration: {'failed' if failed else 'passed'}")
    with tempfile.TemporaryDirectory() as directory:
        junit = Path(directory) / "junit.xml"
        failed |= _pytest("cluster or soak", f"--junit-xml={junit}", f"--count={rounds}")
        print(write_report("soak", junit, notes))
    return failed


def _demo() -> int:
    failed = _run("e2e.demo")
    if not failed:
        # The tests make their own; two homeservers are too many for a small machine.
        kube = Installation(api.cluster(), DEMO_NAMESPACE).kube
        kube.run("delete", "homeserver", "--all")
    return failed


def _pytest(marker: str, *arguments: str) -> int:
    return _run("pytest", "-v", "-m", marker, *arguments)


def _run(module: str, *arguments: str) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
