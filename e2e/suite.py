"""Everything that needs the real cluster, from `up` to `down`: `python -m e2e.suite`.

First the demonstration, as a newcomer runs it; then the tests. `--soak [--rounds N]` runs what
takes longer: all that needs no cluster, once, and then each test that does, N times. It writes a
report, also when it is interrupted. In the end nothing is left but the cache, whatever happened.
Against a cluster of one's own (HOMESERVER_E2E_CLUSTER=current) that cluster stays up.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from e2e.cluster import api
from e2e.demo.__main__ import NAMESPACE as DEMO_NAMESPACE
from e2e.product.installation import REPOSITORY, Installation

SOAK_ROUNDS = 3
INTERRUPTED = 130


def main() -> int:
    """Run it all; 0 if everything passed."""
    parser = argparse.ArgumentParser(prog="python -m e2e.suite", description=__doc__)
    parser.add_argument("--soak", action="store_true", help="longer, repeated, with a report")
    parser.add_argument(
        "--rounds", type=int, default=SOAK_ROUNDS, help=f"with --soak ({SOAK_ROUNDS})"
    )
    options = parser.parse_args()
    # Whoever ends it, and however it was started, it cleans up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _soak(options.rounds) if options.soak else _test()
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if api.is_own():
            _run("e2e.cluster", "down")


def _test() -> int:
    return _demo() or _pytest("cluster and not soak")


def _soak(rounds: int) -> int:
    from e2e.bench.machine import load  # noqa: PLC0415 - only when there is a report to write
    from e2e.soak.report import write_report  # noqa: PLC0415 - likewise

    notes = [f"rounds: {rounds}", f"load average at the start: {load():.1f}"]
    with tempfile.TemporaryDirectory() as directory:
        alone, clustered = (Path(directory) / f"{name}.xml" for name in ("alone", "clustered"))
        try:
            # Exhaustive as they are, and the same each time: once is enough.
            failed = _pytest(
                "soak and not cluster", "-n2", "--dist=worksteal", f"--junit-xml={alone}"
            )
            demo = _demo()
            notes.append(f"demonstration: {'failed' if demo else 'passed'}")
            failed |= demo
            failed |= _pytest("cluster", f"--count={rounds}", f"--junit-xml={clustered}")
        except KeyboardInterrupt:
            notes.append("interrupted: what had not run yet is not listed")
            raise
        finally:
            if found := [each for each in (alone, clustered) if each.exists()]:
                print(write_report("soak", found, notes))
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
    # A group of its own: told once to end, it cleans up; told twice, as a terminal's and ours, it
    # would leave that.
    with subprocess.Popen(command, cwd=REPOSITORY, process_group=0) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            child.wait()
            raise


if __name__ == "__main__":
    sys.exit(main())
