"""Whether a plan's restarts may happen now: somebody's approval, and a maintenance window.

Pure: the time is an argument. It knows nothing of what a plan consists of.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from homeserver_operator.api.restarts import DAYS, MANUAL, MaintenanceWindow, RestartPolicy

_DAY: Final = timedelta(days=1)
_BACK: Final = 2
"""Days before today whose windows may still be open: one for length, one for skipped hours."""
_AHEAD: Final = 8
"""Days after today among which every weekday comes again, whatever clocks skip."""


@dataclass(frozen=True)
class Consent:
    """Whether restarts may happen, in words, and when to ask again if only time is wanted."""

    granted: bool
    because: str
    retry_at: datetime | None = None


def consent(policy: RestartPolicy, plan_id: str, approved: str | None, now: datetime) -> Consent:
    """Judge by the spec's policy, the annotation with the approved plan's id, and the time.

    `retry_at` is the first moment at which consent would be granted; None if it is, or if a person
    has to act first.
    """
    opening, closing = _next(policy.windows, now) if policy.windows else (now, None)
    is_open = opening is not None and opening <= now
    if policy.approval == MANUAL and approved != plan_id:
        return Consent(False, _unapproved(plan_id, approved) + ("" if is_open else _then(opening)))
    if is_open:
        return Consent(True, _granted(policy, plan_id, closing))
    if opening is None:
        return Consent(False, "no maintenance window ever opens: correct spec.restartPolicy")
    return Consent(False, f"the next maintenance window opens at {_said(opening)}", opening)


def _granted(policy: RestartPolicy, plan_id: str, closing: datetime | None) -> str:
    who = f"plan {plan_id} is approved" if policy.approval == MANUAL else "no approval is needed"
    return f"{who}, and the maintenance window is open until {_said(closing)}" if closing else who


def _unapproved(plan_id: str, approved: str | None) -> str:
    other = f"; {approved}, which is approved, is another plan" if approved else ""
    return f"plan {plan_id} waits for `kubectl homeserver approve`{other}"


def _then(opening: datetime | None) -> str:
    return f", then for the maintenance window at {_said(opening)}" if opening else ""


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _next(
    windows: Iterable[MaintenanceWindow], now: datetime
) -> tuple[datetime, datetime] | tuple[None, None]:
    """Opening and closing of what is open and stays so longest, else of what opens first."""
    spans = [span for window in windows for span in _spans(window, now) if span[1] > now]
    if current := [span for span in spans if span[0] <= now]:
        return max(current, key=lambda span: span[1])
    return min(spans, default=(None, None))


def _spans(window: MaintenanceWindow, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When a window is open around now. One that `validate` would refuse never opens."""
    begins, length, zone = window.begins, window.length, window.zone
    if begins is None or length is None or zone is None:
        return
    today = now.astimezone(zone).date()
    for distance in range(-_BACK, _AHEAD + 1):
        day = today + distance * _DAY
        if not window.days or DAYS[day.weekday()] in window.days:
            opening = _first_moment(day, begins, zone)
            yield opening, opening + length


def _first_moment(day: date, begins: time, zone: tzinfo) -> datetime:
    """The first moment of a day when clocks show this time, or have skipped it."""
    wanted = datetime.combine(day, begins)
    early, late = sorted(wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))

    def reached(moment: datetime) -> bool:
        return moment.astimezone(zone).replace(tzinfo=None) >= wanted

    if reached(early):
        return early
    # In between clocks go forward, at some whole second.
    seconds = range(int((late - early).total_seconds()) + 1)
    return early + timedelta(
        seconds=bisect_left(
            seconds, True, key=lambda each: reached(early + timedelta(seconds=each))
        )
    )
