"""What a process's database connections are called: its name, its epochs and its pod.

For people who look at pg_stat_activity, and for tests that watch who runs; nothing in the product
decides by it. Pure. The format is in docs/fences.md.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 63
"""PostgreSQL cuts an application_name after so many bytes, and makes ? of what is not ASCII."""

_SHORT = {
    "topology": "t",
    "federation": "f",
    "push": "p",
    "backgroundTasks": "b",
    "userDirectory": "u",
    "appservices": "a",
}
"""In the order in which they are written; any other fence is written out, as `name:epoch`."""
_LONG = {short: fence for fence, short in _SHORT.items()}
_EPOCH = re.compile(rf"([{''.join(_LONG)}])(\d+)|([^ :]+):(\d+)")
_CUT = "~"
"""Stands for the beginning of a name that was too long; its end is what tells it from others."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Label:
    """A label taken apart. `pod` is the end of the pod's name, None where it was left out."""

    name: str
    epochs: Mapping[str, int]
    pod: str | None


def label(name: str, epochs: Mapping[str, int], pod: str | None = None) -> str:
    """At most 63 bytes: what is too long costs the pod first, then the beginning of the name."""
    written = "".join(f" {_written(fence, epochs[fence])}" for fence in sorted(epochs, key=_order))
    for end in _ends(name, pod):
        if len(whole := f"{name}{written}{end}") <= LONGEST:
            return whole
    return f"{_CUT}{name[len(name) + len(written) + 1 - LONGEST :]}{written}"


def parse(text: str) -> Label:
    """The inverse of `label`, for whatever names and pods Kubernetes knows."""
    name, *rest = text.split(" ")
    epochs, pod = {}, None
    for token in rest:
        if found := _EPOCH.fullmatch(token):
            short, epoch, fence, its = found.groups()
            epochs[_LONG[short] if short else fence] = int(epoch or its)
        else:
            pod = token.removeprefix("-")
    return Label(name=name, epochs=epochs, pod=pod)


def _ends(name: str, pod: str | None) -> list[str]:
    """How the pod can be written, best first. Always with a hyphen: an epoch never has one."""
    if not pod or pod == name:
        return [""]
    *_, revision, own = ["", *pod.split("-")]
    return [f" {revision}-{own}", f" -{own}", ""]


def _order(fence: str) -> tuple[int, str]:
    return ([*_SHORT, fence].index(fence), fence)


def _written(fence: str, epoch: int) -> str:
    return f"{_SHORT[fence]}{epoch}" if fence in _SHORT else f"{fence}:{epoch}"
