"""What clients noticed of restarts behind several fronts: from recorded requests to the table.

Pure: knows neither cluster nor clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from e2e.bench.table import Measurement
from e2e.product.load import usual
from e2e.product.mix import POLLS
from e2e.product.phases import QUANTILES, failures, quantile, wrongly_kept
from e2e.product.traffic import Outcome
from e2e.product.undergoing import Span
from e2e.product.waits import waits


@dataclass(frozen=True)
class Seen:
    """One restart.

    `added` are seconds beyond the usual of each kind, in order, long polls aside; `acknowledged`
    the texts that the server said it has, while it lasted and until all was calm.
    """

    seconds: float
    requests: int
    failures: Counter[str]
    added: Sequence[float]
    acknowledged: Sequence[str]
    load: float

    def __str__(self) -> str:
        parts = [f"{self.requests} requests, {self.seconds:.1f} s from begin to end"]
        parts += [f"{name} {seconds:+.2f} s" for name, seconds in self.latencies.items()]
        parts += [f"FAILED {count} x {kind}" for kind, count in sorted(self.failures.items())]
        return ", ".join(parts)

    @property
    def latencies(self) -> Mapping[str, float]:
        """Seconds that were added to so many percent of the requests at most; {} without any."""
        if not self.added:
            return {}
        shares = {f"p{percent}": quantile(self.added, percent) for percent in QUANTILES}
        return {**shares, "max": self.added[-1]}


@dataclass
class Report:
    """All that was measured: quiet phases by front, restarts by title and in order.

    `kept` are the texts that the room has in the end, None if nobody came to look.
    """

    sustained: float = 0.0
    rate: float = 0.0
    load: float = 0.0
    quiet: dict[str, list[Outcome]] = field(default_factory=dict)
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    kept: Sequence[str] | None = None


def see(
    outcomes: Sequence[Outcome],
    span: Span,
    quiet: Sequence[Outcome],
    acknowledged: Sequence[str],
    load: float,
) -> Seen:
    """What was noticed of a restart, beside what is usual behind the same front.

    `outcomes` may go on beyond it, so that there is a success after the last failure.
    """
    waited, usually = waits(outcomes), usual(quiet)
    during = [outcome for outcome in outcomes if span.touches(outcome)]
    added = sorted(waited[o] - usually[o.kind] for o in during if o.kind not in POLLS)
    return Seen(span.seconds, len(during), failures(during), added, acknowledged, load)


def rows(report: Report, promised: Collection[str]) -> list[Measurement]:
    """The table: load and quiet phases, then each restart; where promised, nothing shall fail."""
    return [*_base(report), *_restarts(report, promised)]


def _base(report: Report) -> Iterator[Measurement]:
    told = partial(Measurement, load=report.load)
    if report.sustained:
        yield told("sustained by the first front", "requests/s", [report.sustained])
        yield told("load, long polls aside", "requests/s", [report.rate])
    for front, outcomes in report.quiet.items():
        spent = [outcome.seconds * 1000 for outcome in outcomes if outcome.kind not in POLLS]
        yield told(f"{front}, quiet: latency", "ms", spent)


def _restarts(report: Report, promised: Collection[str]) -> Iterator[Measurement]:
    for title, runs in report.seen.items():
        none = 0.0 if title in promised else None
        told = partial(Measurement, load=runs[-1].load)
        yield told(f"{title}: begin to end", "s", [run.seconds for run in runs])
        yield told(f"{title}: requests", "requests", [run.requests for run in runs])
        failed = [run.failures.total() for run in runs]
        yield told(f"{title}: failed", "requests", failed, aim=none)
        for kind in sorted({kind for run in runs for kind in run.failures}):
            counts = [run.failures[kind] for run in runs]
            yield told(f"  {title}: failed, {kind}", "requests", counts)
        for name in runs[0].latencies:
            added = [run.latencies[name] * 1000 for run in runs if run.added]
            yield told(f"{title}: added, {name}", "ms", added)
        if report.kept is not None:
            wrong = [len(wrongly_kept(run.acknowledged, report.kept)) for run in runs]
            yield told(f"{title}: messages lost or doubled", "messages", wrong, aim=none)
