"""What remains of a start once a process is warm, beside a cold one. Needs no cluster."""

from __future__ import annotations

from collections.abc import Iterator

from e2e.bench.apart import ask_apart
from e2e.bench.table import Measurement
from e2e.cluster.progress import step

LONGEST = 1800.0


def measure(runs: int) -> Iterator[Measurement]:
    """Measure in a process of its own, which has the runtime's tests to start processes by."""
    with step("Synapse, cold and behind a fence"):
        told = ask_apart("e2e.bench.warming", str(runs), part="runtime", seconds=LONGEST)
    for what, seconds in told.items():
        if ", cold, " in what:
            yield Measurement(what, "s", seconds)
        else:
            yield Measurement(what, "ms", [round(value * 1000) for value in seconds])
