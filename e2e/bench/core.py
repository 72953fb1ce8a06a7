"""How long the core thinks: a large homeserver, and many usual ones. Needs no cluster."""

from __future__ import annotations

from collections.abc import Iterator

from e2e.bench.apart import ask_apart
from e2e.bench.table import Measurement
from e2e.cluster.progress import step

MANY = 1000
LARGE_AIM = 50.0
MANY_AIM = 15.0
LONGEST = 1800.0


def measure(runs: int) -> Iterator[Measurement]:
    """Measure in a process of its own, which holds nothing but the core."""
    with step("decisions on homeservers in memory"):
        told = ask_apart(
            "e2e.bench.planning", str(runs), str(MANY), part="operator", seconds=LONGEST
        )
    for name, seconds in told.items():
        which, world = name.split(", ")
        if which == "large":
            what = f"plan of 60 processes, {world}, processor"
            yield Measurement(what, "ms", [value * 1000 for value in seconds], aim=LARGE_AIM)
        else:
            what = f"plans of {MANY} HomeServers of 12 processes, {world}, processor"
            yield Measurement(what, "s", seconds, aim=MANY_AIM)
