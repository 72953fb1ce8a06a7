"""How much of anything the status holds: the CRD's bounds, of which one too many loses all of it.

The API server refuses the whole status for one text that is too long. A test compares with the CRD.
"""

from collections.abc import Mapping
from typing import Any, Final

MOST_PROCESSES: Final = 512
"""In one list, and in all waves of a plan together: an object has to fit into etcd, too."""
MOST_WAVES: Final = 64

_NAME: Final = 63
_TEXT: Final = 1024

BOUNDS: Final[Mapping[str, int]] = {
    "conditions": 32,
    "conditions[].type": 316,
    "conditions[].reason": _TEXT,
    "conditions[].message": 32768,
    "image": 512,
    "version": 64,
    "serverName": 230,
    "workers": 16,
    "groups": 66,
    "groups[].name": 20,
    "plan.id": 64,
    "plan.because": _TEXT,
    "plan.waves": MOST_WAVES,
    "plan.waves[].restarts": MOST_PROCESSES,
    "plan.waves[].restarts[].process": _NAME,
    "plan.waves[].restarts[].because": _TEXT,
    "epochs": 64,
    "processes": MOST_PROCESSES,
    "processes[].pod": 253,
    "processes[].process": _NAME,
    "processes[].phase": 64,
    "processes[].revision": _NAME,
    "processes[].epochs": 64,
    "processes[].shardMaps": 8,
    "processes[].shardMaps.*": 64,
    "lastSwitch.because": _TEXT,
    "release.image": 512,
    "release.plan": _NAME,
    "release.revisions": 8192,
    "release.revisions.*": _NAME,
    "generatedSecrets": 16,
    "generatedSecrets[]": 253,
}
"""Most items or characters of each field. Where later decisions read a field, or where it names
something, its bound is beyond all that a spec can ask for, so that nothing of it is ever cut."""

_MAPS: Final = frozenset({"epochs", "shardMaps", "revisions"})
"""Whose names are anybody's; what is below each has the same bound."""


def within_bounds(value: Any, path: str = "") -> Any:
    """The part of a status at `path`, cut to what the CRD holds."""
    most = BOUNDS.get(path)
    if isinstance(value, str):
        return value if most is None or len(value) <= most else f"{value[: most - 1]}…"
    if isinstance(value, list):
        return [within_bounds(item, f"{path}[]") for item in value[:most]]
    if not isinstance(value, dict):
        return value
    below, any_name = f"{path}." if path else "", path.rpartition(".")[2] in _MAPS
    return {
        name: within_bounds(item, f"{below}{'*' if any_name else name}")
        for name, item in list(value.items())[:most]
    }
