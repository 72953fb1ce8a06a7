"""Rules over `spec.restartPolicy`: time zones, which the CRD does not know, and what it says too.

The latter are here for `plan` without an API server, and as a second line behind an older CRD: a
window that cannot be read would never open.
"""

from collections.abc import Iterator

from homeserver_operator.api.restarts import AUTOMATIC, DAYS, MANUAL
from homeserver_operator.api.spec import HomeServer


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `spec.restartPolicy` (one sentence each)."""
    policy = server.restart_policy
    if policy.approval not in {AUTOMATIC, MANUAL}:
        yield (
            f"spec.restartPolicy.approval is {policy.approval!r}: set {AUTOMATIC} or {MANUAL}, or "
            "remove it"
        )
    if policy.max_warming < 1:
        yield f"spec.restartPolicy.maxWarming is {policy.max_warming}: set 1 or more, or remove it"
    for index, window in enumerate(policy.windows):
        path = f"spec.restartPolicy.maintenanceWindows[{index}]"
        for day in window.days:
            if day not in DAYS:
                yield f"{path}.days: {day!r} is no day: write {', '.join(DAYS)}"
        if window.begins is None:
            yield f'{path}.start is {window.start!r}: write a time of day such as "02:00"'
        if window.length is None:
            yield (
                f"{path}.duration is {window.duration!r}: write hours and minutes from 15m to 24h, "
                "such as 1h30m"
            )
        if window.zone is None:
            yield (
                f"{path}.timeZone: {window.time_zone!r} is no time zone that the operator knows: "
                "write a name of the IANA database such as Europe/Berlin, or UTC"
            )
