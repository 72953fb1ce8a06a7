"""How long clients had to wait who try again at once.

A failed request counts with the time until the next of its kind that succeeded: else an outage that
is refused quickly would pass for a short one. Pure: knows neither cluster nor clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from e2e.product.traffic import Outcome


def waits(outcomes: Sequence[Outcome]) -> dict[Outcome, float]:
    """Seconds until each was answered; without a later success, until the record's end."""
    last = max((o.began + o.seconds for o in outcomes), default=0.0)
    found: dict[Outcome, float] = {}
    for kind in {outcome.kind for outcome in outcomes}:
        mine = [outcome for outcome in outcomes if outcome.kind == kind]
        good = sorted((o.began, o.began + o.seconds) for o in mine if not o.failed)
        # The earliest end of all successes from each on.
        earliest = [last]
        for _, end in reversed(good):
            earliest.append(min(end, earliest[-1]))
        earliest.reverse()
        begins = [began for began, _ in good]
        for outcome in mine:
            after = earliest[bisect_left(begins, outcome.began)] - outcome.began
            found[outcome] = after if outcome.failed else outcome.seconds
    return found
