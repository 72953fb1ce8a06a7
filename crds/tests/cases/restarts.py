"""When processes may be restarted."""

from typing import Any

from crds.tests.cases.case import Case, Spec, spec

WINDOW = {"start": "02:00", "duration": "2h"}


def window(**fields: Any) -> Spec:
    """A spec with one maintenance window."""
    return spec(restartPolicy={"maintenanceWindows": [WINDOW | fields]})


def manual(**fields: Any) -> Spec:
    """A spec that asks for approval, and something more."""
    return spec(restartPolicy={"approval": "Manual", **fields})


RESTARTS = (
    Case(
        sentence="approval is somebody's or nobody's",
        good=manual(maintenanceWindows=[WINDOW]),
        bad=manual(approval="Sometimes"),
        says='Unsupported value: "Sometimes"',
    ),
    Case(
        sentence="a policy without windows has no list of them",
        good=manual(),
        bad=manual(maintenanceWindows=[]),
        says="spec.restartPolicy.maintenanceWindows in body should have at least 1 items",
    ),
    Case(
        sentence="somebody may warm up",
        good=spec(restartPolicy={"maxWarming": 1}),
        bad=spec(restartPolicy={"maxWarming": 0}),
        says="spec.restartPolicy.maxWarming in body should be greater than or equal to 1",
    ),
    Case(
        sentence="a window opens at a time of day",
        good=window(start="23:59"),
        bad=window(start="24:00"),
        says="restartPolicy.maintenanceWindows[].start: must be a time of day",
    ),
    Case(
        sentence="a window is at least as long as a switch may take",
        good=window(duration="15m"),
        bad=window(duration="0h14m"),
        says="restartPolicy.maintenanceWindows[].duration: must be from 15m to 24h",
    ),
    Case(
        sentence="a window is at most a day",
        good=window(duration="23h60m"),
        bad=window(duration="24h1m"),
        says="restartPolicy.maintenanceWindows[].duration: must be from 15m to 24h",
    ),
    Case(
        sentence="a duration has units",
        good=window(duration="90m"),
        bad=window(duration="90"),
        says="restartPolicy.maintenanceWindows[].duration: must be from 15m to 24h",
    ),
    Case(
        sentence="a window names each day once",
        good=window(days=["Mon", "Tue"]),
        bad=window(days=["Mon", "Mon"]),
        says="spec.restartPolicy.maintenanceWindows[0].days[1]: Duplicate value",
    ),
    Case(
        sentence="a time zone is a name",
        good=window(timeZone="America/Argentina/Buenos_Aires"),
        bad=window(timeZone="../zone"),
        says="restartPolicy.maintenanceWindows[].timeZone: must be the name of a time zone",
    ),
)
