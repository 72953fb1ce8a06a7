"""What a case is, and short ways to write specs that are valid but for one thing."""

from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`says` is what the refusal must contain; the names are those of the HomeServers."""

    sentence: str
    good: Spec
    bad: Spec
    says: str
    good_name: str = "example"
    bad_name: str = "example"


def spec(**fields: Any) -> Spec:
    """A spec that is valid but for what the fields say."""
    return {"serverName": "example.org", **fields}


def worker(name: str = "group", **fields: Any) -> Spec:
    """A spec with one worker group."""
    return spec(workers=[{"name": name, **fields}])


def both(field: str, value: str) -> Spec:
    """A spec in which two groups claim the same."""
    return spec(
        workers=[{"name": name, "serves": ["media"], field: [value]} for name in ("one", "two")]
    )


def once(field: str, value: str) -> Spec:
    """A spec in which one of two groups claims something."""
    return spec(
        workers=[
            {"name": "one", "serves": ["media"], field: [value]},
            {"name": "two", "serves": ["media"]},
        ]
    )
