"""What was measured of each proxy, and the table's rows that follow. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from e2e.bench.table import Measurement

AIM, AHEAD = 130.0, 100.0
"""Percent of HAProxy without routes, and of whoever is to be left behind."""

EVERY = "all kinds"


@dataclass(frozen=True)
class Pair:
    """A proxy and what it is measured by: rows say percent of `other`."""

    name: str
    other: str
    aim: float | None


@dataclass
class Costs:
    """Values in the order of rounds; `processor` by proxy and kind, the others by proxy.

    Processor time and latencies in µs, memory in MiB.
    """

    processor: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    median: dict[str, list[float]] = field(default_factory=dict)
    p99: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def of(self, name: str, kind: str) -> list[float]:
        """Processor time per request; of EVERY kind the mean."""
        if kind != EVERY:
            return self.processor[name, kind]
        each = [values for (owner, _kind), values in self.processor.items() if owner == name]
        return [statistics.mean(values) for values in zip(*each, strict=True)]

    def percent(self, pair: Pair, kind: str) -> list[float]:
        """What one takes of the other's processor time, each round by itself."""
        both = zip(self.of(pair.name, kind), self.of(pair.other, kind), strict=True)
        return [100 * mine / others for mine, others in both]


def rows(
    costs: Costs, *, kinds: Sequence[str], pairs: Sequence[Pair], direct: str
) -> Iterator[Measurement]:
    """Ratios first, then times, latencies and memory."""
    for pair in pairs:
        for kind in (EVERY, *kinds):
            unit = f"% of {pair.other}"
            values = costs.percent(pair, kind)
            yield Measurement(f"{kind}: processor, {pair.name}", unit, values, pair.aim)
    for name in costs.memory:
        for kind in (EVERY, *kinds):
            yield Measurement(f"{kind}: processor per request, {name}", "µs", costs.of(name, kind))
    for what, latencies in (("median", costs.median), ("99 %", costs.p99)):
        for name, values in latencies.items():
            if name != direct:
                added = [mine - its for mine, its in zip(values, latencies[direct], strict=True)]
                yield Measurement(f"{EVERY}: added latency, {what}, {name}", "µs", added)
    for name, used in costs.memory.items():
        yield Measurement(f"resident at the end, {name}", "MiB", [used])
