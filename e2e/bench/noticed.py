"""What clients noticed of a restart: from recorded requests to the rows of the table.

Pure: knows neither cluster nor clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from e2e.bench.table import Measurement
from e2e.product.load import usual
from e2e.product.traffic import Outcome
from e2e.product.undergoing import Span
from e2e.product.waits import waits

ONE, GROUP, POLLS = "one process, Service's address", "group, pods' addresses", "group, long polls"
CLASSES: Final[Mapping[str, str]] = {
    "rules": ONE,
    "typing": ONE,
    "read": GROUP,
    "send": GROUP,
    "sync": POLLS,
}
"""How the Ingress reaches who answers each kind of request."""


@dataclass(frozen=True)
class Noticed:
    """What clients of one route class noticed of one restart.

    `longest` is None where answers take as long as there is no news. `failed_from` and
    `failed_until` are seconds from when the restart began.
    """

    requests: int
    failures: Counter[str]
    longest: float | None
    failed_from: float = 0.0
    failed_until: float = 0.0

    def __str__(self) -> str:
        told = f"{self.requests} requests"
        if self.longest is not None:
            told += f", longest {self.longest:+.2f} s"
        if not self.failures:
            return f"{told}, none failed"
        kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.failures.items()))
        return f"{told}, failed {self.failed_from:.1f} s to {self.failed_until:.1f} s: {kinds}"


@dataclass(frozen=True)
class Seen:
    """One restart: how long it took, what was noticed by route class, the load average then."""

    seconds: float
    noticed: Mapping[str, Noticed]
    load: float

    @property
    def longest(self) -> float:
        """The longest that was added to any request."""
        return max(each.longest for each in self.noticed.values() if each.longest is not None)


@dataclass
class Report:
    """All that was measured; each restart by its title, in order. `load` is the quiet phase's."""

    sustained: float = 0.0
    rate: float = 0.0
    load: float = 0.0
    quiet: Sequence[Outcome] = ()
    seen: dict[str, list[Seen]] = field(default_factory=dict)

    @property
    def usual(self) -> Mapping[str, float]:
        """The quiet phase's median seconds by kind."""
        return usual(self.quiet)


def notice(
    outcomes: Sequence[Outcome], span: Span, usual: Mapping[str, float]
) -> dict[str, Noticed]:
    """What was noticed of a restart by route class.

    `outcomes` may go on beyond it, so that there is a success after the last failure.
    """
    waited = waits(outcomes)
    during = [outcome for outcome in outcomes if span.touches(outcome)]
    found: dict[str, Noticed] = {}
    for name in dict.fromkeys(CLASSES.values()):
        mine = [outcome for outcome in during if CLASSES[outcome.kind] == name]
        failed = [outcome for outcome in mine if outcome.failed]
        ends = [outcome.began + outcome.seconds - span.since for outcome in failed]
        found[name] = Noticed(
            requests=len(mine),
            failures=Counter(failure(outcome) for outcome in failed),
            longest=None
            if name == POLLS
            else max((waited[outcome] - usual[outcome.kind] for outcome in mine), default=0.0),
            failed_from=min(ends, default=0.0),
            failed_until=max(ends, default=0.0),
        )
    return found


def failure(outcome: Outcome) -> str:
    """How a request failed, and by whom: Synapse's own errors are Matrix', a controller's not."""
    if not outcome.status:
        return f"no answer from the ingress controller ({outcome.problem.partition(':')[0]})"
    by = "Synapse" if "errcode" in outcome.problem else "the ingress controller"
    return f"{outcome.status} by {by}"


def rows(report: Report, aims: Mapping[str, float], beside: tuple[str, str]) -> list[Measurement]:
    """The table: load and quiet phase, then each restart.

    `aims` are seconds by title; no request may fail there. The first of `beside` shall add at most
    a fifth of what the second adds.
    """
    return [*_base(report), *_restarts(report, aims), *_beside(report, *beside)]


def _base(report: Report) -> Iterator[Measurement]:
    told = partial(Measurement, load=report.load)
    if report.sustained:
        yield told("sustained by 8 processes", "requests/s", [report.sustained])
        yield told("load, syncs aside", "requests/s", [report.rate])
    for name in (ONE, GROUP):
        spent = [o.seconds * 1000 for o in report.quiet if CLASSES[o.kind] == name]
        if spent:
            yield told(f"quiet, {name}: latency", "ms", spent)


def _restarts(report: Report, aims: Mapping[str, float]) -> Iterator[Measurement]:
    for title, runs in report.seen.items():
        aim = aims.get(title)
        told = partial(Measurement, load=runs[-1].load)
        yield told(f"{title}: begin to end", "s", [run.seconds for run in runs])
        for name in runs[0].noticed:
            noticed = [run.noticed[name] for run in runs]
            what = f"{title}, {name}"
            yield told(f"{what}: requests", "requests", [one.requests for one in noticed])
            failed = [one.failures.total() for one in noticed]
            none = None if aim is None else 0.0
            yield told(f"{what}: failed", "requests", failed, aim=none)
            for kind in sorted({kind for one in noticed for kind in one.failures}):
                counts = [one.failures[kind] for one in noticed]
                yield told(f"  {title}, {name}: {kind}", "requests", counts)
            longest = [one.longest for one in noticed if one.longest is not None]
            if longest:
                yield told(f"{what}: longest added", "s", longest, aim=aim)


def _beside(report: Report, ours: str, naive: str) -> Iterator[Measurement]:
    pairs = zip(report.seen.get(ours, ()), report.seen.get(naive, ()), strict=False)
    shares = [100 * one.longest / other.longest for one, other in pairs if other.longest > 0]
    if shares:
        what = f"longest added: {ours}, of that of {naive}"
        yield Measurement(what, "%", shares, aim=20.0, load=report.seen[ours][-1].load)
