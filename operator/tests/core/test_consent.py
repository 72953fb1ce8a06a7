"""When restarts may happen: approval, windows over midnight and over changes of the clocks."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from homeserver_operator.api.restarts import (
    AUTOMATIC,
    DAYS,
    MANUAL,
    MaintenanceWindow,
    RestartPolicy,
)
from homeserver_operator.plan.consent import consent

BERLIN = "Europe/Berlin"
NIGHT = MaintenanceWindow("02:00", "2h", ("Mon", "Tue"), BERLIN)
LATE = MaintenanceWindow("23:00", "3h", ("Sun",))
MINUTE = timedelta(minutes=1)

# Half an hour of summer time, a day that never was, clocks that change at midnight, and a rule
# that changed its mind within weeks.
ZONES = (
    "UTC", BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
    "Asia/Beirut", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Kiritimati", "Etc/GMT+12",
)  # fmt: skip


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def windowed(*windows: MaintenanceWindow) -> RestartPolicy:
    return RestartPolicy(windows=windows)


# Berlin goes from 02:00 to 03:00 (01:00 UTC) on Sunday, 29 March 2026, and from 03:00 back to 02:00
# (01:00 UTC) on Sunday, 25 October 2026.
SKIPPED = MaintenanceWindow("02:30", "1h", ("Sun",), BERLIN)
# Apia had no 30 December 2011.
EVE = MaintenanceWindow("23:00", "24h", ("Thu",), "Pacific/Apia")

MOMENTS = {
    "in the middle of it": (NIGHT, "2026-11-24T02:00", True, None),
    "at its first moment": (NIGHT, "2026-11-24T01:00", True, None),
    "just before": (NIGHT, "2026-11-24T00:59", False, "2026-11-24T01:00"),
    "at its end it is closed": (NIGHT, "2026-11-24T03:00", False, "2026-11-30T01:00"),
    "on a day that is not named": (NIGHT, "2026-11-25T02:00", False, "2026-11-30T01:00"),
    "in summer an hour earlier": (NIGHT, "2026-07-20T00:00", True, None),
    "after midnight of the day that is named": (LATE, "2026-11-23T01:59", True, None),
    "closed after midnight": (LATE, "2026-11-23T02:00", False, "2026-11-29T23:00"),
    "a whole day, every day": (MaintenanceWindow("06:00", "24h"), "2026-11-24T05:59", True, None),
    "the hour is skipped": (SKIPPED, "2026-03-29T00:59", False, "2026-03-29T01:00"),
    "it opens when clocks go on": (SKIPPED, "2026-03-29T01:00", True, None),
    "and is as long as ever": (SKIPPED, "2026-03-29T01:59", True, None),
    "and no longer": (SKIPPED, "2026-03-29T02:00", False, "2026-04-05T00:30"),
    "the hour comes twice": (SKIPPED, "2026-10-25T00:30", True, None),
    "a whole day is skipped while it is open": (EVE, "2011-12-31T08:00", True, None),
    "it opens once": (SKIPPED, "2026-10-25T01:30", False, "2026-11-01T01:30"),
}


@pytest.mark.parametrize("title", MOMENTS)
def test_a_window_is_open(title: str) -> None:
    window, now, granted, retry_at = MOMENTS[title]
    found = consent(windowed(window), "p", None, at(now))
    assert found.granted == granted
    assert found.retry_at == (at(retry_at) if retry_at else None)


def test_of_several_windows_any_will_do_and_the_next_counts() -> None:
    policy = windowed(NIGHT, LATE)
    assert consent(policy, "p", None, at("2026-11-22T23:30")).granted
    assert consent(policy, "p", None, at("2026-11-23T01:30")).granted
    assert consent(policy, "p", None, at("2026-11-24T12:00")).retry_at == at("2026-11-29T23:00")


def test_without_any_policy_restarts_happen_at_any_time() -> None:
    assert consent(RestartPolicy(), "p", None, at("2026-11-24T12:00")).granted


INSIDE, OUTSIDE = at("2026-11-24T02:00"), at("2026-11-24T12:00")
OPENING = at("2026-11-30T01:00")

JUDGEMENTS = {
    "approved, at any time": ((), "p", OUTSIDE, True, None, "plan p is approved"),
    "not approved": ((), None, OUTSIDE, False, None, "plan p waits for `kubectl homeserver"),
    "another plan was approved": ((), "q", OUTSIDE, False, None, "q, which is approved, is"),
    "approved, in a window": ((NIGHT,), "p", INSIDE, True, None, "open until 2026-11-24T03:00:00Z"),
    "approved too early": ((NIGHT,), "p", OUTSIDE, False, OPENING, "opens at 2026-11-30T01:00:00Z"),
    "not approved, in a window": ((NIGHT,), None, INSIDE, False, None, "homeserver approve"),
    "neither": ((NIGHT,), None, OUTSIDE, False, None, "approve`, then for the maintenance window"),
}  # fmt: skip


@pytest.mark.parametrize("title", JUDGEMENTS)
def test_with_both_both_are_needed(title: str) -> None:
    windows, approved, now, granted, retry_at, words = JUDGEMENTS[title]
    found = consent(RestartPolicy(MANUAL, windows), "p", approved, now)
    assert (found.granted, found.retry_at) == (granted, retry_at)
    assert words in found.because


@pytest.mark.parametrize("zone", ["Middle/Earth", "Europe", "../passwd", ""])
def test_a_window_that_no_clock_shows_never_opens(zone: str) -> None:
    policy = windowed(MaintenanceWindow("02:00", "2h", (), zone))
    found = consent(policy, "p", None, INSIDE)
    assert (found.granted, found.retry_at) == (False, None)
    assert "correct spec.restartPolicy" in found.because


def test_time_zones_come_with_the_operator() -> None:
    # A slim image has no time zones of its own.
    zoneinfo.reset_tzpath(to=[])
    try:
        assert ZoneInfo.no_cache(BERLIN).key == BERLIN
    finally:
        zoneinfo.reset_tzpath()


@st.composite
def windows(draw: st.DrawFn) -> MaintenanceWindow:
    length = draw(st.integers(15, 24 * 60))
    hours, minutes = divmod(length, 60) if draw(st.booleans()) else (0, length)
    return MaintenanceWindow(
        start=f"{draw(st.integers(0, 23)):02}:{draw(st.integers(0, 59)):02}",
        duration=(f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else ""),
        days=tuple(draw(st.lists(st.sampled_from(DAYS), unique=True, max_size=3))),
        time_zone=draw(st.sampled_from(ZONES)),
    )


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """Any minute, mostly on days when clocks change somewhere."""
    changes = ("2011-12-30", "2018-11-04", "2023-03-26", "2026-03-29", "2026-10-25", "2026-04-05")
    day = draw(st.sampled_from(changes) | st.dates(datetime(2010, 1, 2).date()).map(str))
    assume(day < "2037")
    return at(day) + draw(st.integers(-36 * 60, 36 * 60)) * MINUTE


def openings(window: MaintenanceWindow, around: datetime) -> Iterator[datetime]:
    """Found by watching a clock: on each day, the minute when it shows the start or later."""
    assert window.begins is not None
    zone = ZoneInfo(window.time_zone)
    first = around.astimezone(zone).date() - timedelta(days=2)
    days = [first + timedelta(days=each) for each in range(4)]
    waiting = {datetime.combine(day, window.begins) for day in days}
    # No day is longer than this before its own start.
    moment = around - timedelta(hours=80)
    while moment <= around:
        shown = moment.astimezone(zone).replace(tzinfo=None)
        for start in [each for each in waiting if each <= shown]:
            waiting.discard(start)
            if shown - start < timedelta(hours=25) and (
                not window.days or DAYS[start.weekday()] in window.days
            ):
                yield moment
        moment += MINUTE


def is_open(window: MaintenanceWindow, now: datetime) -> bool:
    assert window.length is not None
    return any(now < opening + window.length for opening in openings(window, now))


few = settings(max_examples=60)


@pytest.mark.long
@few
@given(st.lists(windows(), min_size=1, max_size=2), moments())
@example([SKIPPED], at("2026-03-29T01:30"))
@example([MaintenanceWindow("02:00", "1h", ("Fri",), "Pacific/Apia")], at("2011-12-30T10:30"))
def test_restarts_are_allowed_exactly_inside_a_window(
    policy: list[MaintenanceWindow], now: datetime
) -> None:
    assert consent(windowed(*policy), "p", None, now).granted == any(
        is_open(window, now) for window in policy
    )


@given(st.lists(windows(), min_size=1, max_size=3), moments())
def test_the_time_to_ask_again_is_the_first_at_which_they_are(
    listed: list[MaintenanceWindow], now: datetime
) -> None:
    policy = windowed(*listed)
    found = consent(policy, "p", None, now)
    assert found.granted == (found.retry_at is None)
    if found.retry_at:
        assert found.retry_at > now
        assert consent(policy, "p", None, found.retry_at).granted
        between = (found.retry_at - now) * 0.5
        for moment in (
            now + between,
            found.retry_at - MINUTE,
            found.retry_at - timedelta.resolution,
        ):
            earlier = consent(policy, "p", None, max(now, moment))
            assert (earlier.granted, earlier.retry_at) == (False, found.retry_at)


@given(st.sampled_from([AUTOMATIC, MANUAL]), st.lists(windows(), max_size=2), moments())
def test_an_approval_never_takes_anything_away(
    approval: str, listed: list[MaintenanceWindow], now: datetime
) -> None:
    policy = RestartPolicy(approval, tuple(listed))
    without, granted = consent(policy, "p", None, now), consent(policy, "p", "p", now)
    assert granted.granted >= without.granted
    if approval == MANUAL:
        assert not without.granted
        assert (
            granted.granted == consent(RestartPolicy(windows=tuple(listed)), "p", None, now).granted
        )
