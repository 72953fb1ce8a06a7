"""What remains of a start once a process is warm, beside a cold one. Needs no cluster."""

from __future__ import annotations

from collections.abc import Iterator

from e2e.bench.apart import ask_apart
from e2e.bench.table import Measurement
from e2e.cluster.progress import step

LONGEST = 1800.0


def measure(runs: int) -> Iterator[Measurement]:
    """Measure in processes of their own, which have the runtime's tests to start Synapse by."""
    told: dict[str, list[float]] = {}
    for title, module in (
        ("Synapse, cold and behind a fence", "e2e.bench.warming"),
        ("requests that wait for it", "e2e.bench.queueing"),
    ):
        with step(title):
            told |= ask_apart(module, str(runs), part="runtime", seconds=LONGEST)
    for what, seconds in told.items():
        if ", cold, " in what:
            yield Measurement(what, "s", seconds)
        else:
            yield Measurement(what, "ms", [round(value * 1000) for value in seconds])
