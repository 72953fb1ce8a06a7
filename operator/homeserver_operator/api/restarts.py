"""When processes may be restarted, as the spec has it, and the restarts that a plan consists of.

Times are kept as they were written; read as values they are None where they are none, which
`validate` refuses. Time zones come from the zoneinfo database: data, as constant as this module.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

AUTOMATIC: Final = "Automatic"
MANUAL: Final = "Manual"

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""In the order of `datetime.weekday()`."""

SHORTEST: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=24)
"""Bounds of a window: in less no switch is sure to end, and more is the next day's."""

_START: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DURATION: Final = re.compile(r"(?:([0-9]{1,2})h)?(?:([0-9]{1,4})m)?")


@dataclass(frozen=True)
class MaintenanceWindow:
    """A span of time that comes again on each of its days; without days, on every day."""

    start: str
    duration: str
    days: tuple[str, ...] = ()
    time_zone: str = "UTC"

    @property
    def begins(self) -> time | None:
        """The time of day at which it opens, by the clocks of its time zone."""
        found = _START.fullmatch(self.start)
        return time(int(found[1]), int(found[2])) if found else None

    @property
    def length(self) -> timedelta | None:
        """How long it stays open, whatever clocks do meanwhile."""
        found = _DURATION.fullmatch(self.duration)
        if not found:
            return None
        length = timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0))
        return length if SHORTEST <= length <= LONGEST else None

    @property
    def zone(self) -> ZoneInfo | None:
        """Whose clocks count."""
        try:
            return ZoneInfo(self.time_zone)
        except (KeyError, OSError, ValueError):  # unknown, a folder, not a time zone's file
            return None


@dataclass(frozen=True)
class RestartPolicy:
    """Whose word and which time a restart needs. No windows: at any time.

    `max_warming` is how many new pods may warm up at the same time beside those that serve.
    """

    approval: str = AUTOMATIC
    windows: tuple[MaintenanceWindow, ...] = ()
    max_warming: int = 4


def parse_restart_policy(spec: Mapping[str, Any]) -> RestartPolicy:
    """Read spec.restartPolicy."""
    return RestartPolicy(
        approval=spec.get("approval", AUTOMATIC),
        windows=tuple(
            MaintenanceWindow(
                start=window["start"],
                duration=window["duration"],
                days=tuple(window.get("days", ())),
                time_zone=window.get("timeZone", "UTC"),
            )
            for window in spec.get("maintenanceWindows", ())
        ),
        max_warming=spec.get("maxWarming", RestartPolicy.max_warming),
    )


class Phase(StrEnum):
    """How far a plan is: held back, new pods warm up, they take over, until they serve."""

    HELD = "Held"
    WARMING = "Warming"
    SWITCHING = "Switching"
    SETTLING = "Settling"


@dataclass(frozen=True)
class Restart:
    """One process that restarts, and the reason that people will read."""

    process: str
    because: str


@dataclass(frozen=True)
class Wave:
    """Restarts that happen together; `epochs` are those of the fences that rise with them."""

    restarts: tuple[Restart, ...]
    epochs: Mapping[str, int] = field(default_factory=dict)
