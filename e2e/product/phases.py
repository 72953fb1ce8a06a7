"""What clients noticed of each of several things done in a row, against when nothing was done.

Pure: knows neither cluster nor clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from e2e.product.mix import POLLS
from e2e.product.traffic import Outcome

QUANTILES: Final = (50, 95, 99)


@dataclass(frozen=True)
class Phase:
    """The requests of which a part lies in the time in which something was done."""

    title: str
    seconds: float
    outcomes: Sequence[Outcome]

    @property
    def failed(self) -> list[Outcome]:
        """Requests that did not get what they asked for."""
        return [outcome for outcome in self.outcomes if outcome.failed]

    def added(self, usual: Mapping[str, float]) -> list[float]:
        """Seconds beyond the usual of each kind, in order; long polls are as long as no news."""
        return sorted(
            outcome.seconds - usual.get(outcome.kind, 0.0)
            for outcome in self.outcomes
            if outcome.kind not in POLLS
        )

    def told(self, usual: Mapping[str, float]) -> str:
        """One line: how many requests, how much later they were answered, which failed."""
        added = self.added(usual)
        parts = [f"{self.title}: {self.seconds:.0f} s, {len(self.outcomes)} requests"]
        if added:
            parts += [f"p{each} {quantile(added, each):+.2f} s" for each in QUANTILES]
            parts.append(f"max {added[-1]:+.2f} s")
        kinds = failures(self.outcomes)
        parts += [f"FAILED {count} x {kind}" for kind, count in sorted(kinds.items())]
        return ", ".join(parts)


def quantile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    position = -(-len(ordered) * percent // 100) - 1
    return ordered[max(position, 0)]


def wrongly_kept(acknowledged: Iterable[str], texts: Iterable[str]) -> list[str]:
    """What was acknowledged and is not in the room exactly once, in words."""
    times = Counter(texts)
    return [f"{text}: {times[text]} times" for text in acknowledged if times[text] != 1]


def failures(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How many requests failed, by what was asked and how it ended."""
    return Counter(_failure(outcome) for outcome in outcomes if outcome.failed)


def _failure(outcome: Outcome) -> str:
    how = f"{outcome.status}" if outcome.status else outcome.problem.partition(":")[0]
    return f"{outcome.kind} ({how})"
