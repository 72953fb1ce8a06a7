"""Paths that a servlet's pattern takes: every alternative, with a plausible value in each group."""

import re
from collections.abc import Iterator

_VALUES = {
    "room_id": "!r:test.invalid",
    "room_identifier": "!r:test.invalid",
    "room_alias": "#a:test.invalid",
    "user_id": "@u:test.invalid",
    "target_user_id": "@u:test.invalid",
    "event_id": "$e",
    "parent_id": "$e",
    "thread_root_id": "$e",
    "event_type": "m.room.name",
    "receipt_type": "m.read",
    "path": "pushrules/global/override/x",
    "stagetype": "m.login.sso",
    "server_name": "other.invalid",
    "destination": "other.invalid",
    "medium": "email",
}

_NAMED = re.compile(r"\(\?P<(\w+)>((?:\[[^\]]*\]|[^()])*)\)")
_INNERMOST = re.compile(r"\(([^()]*)\)(\?)?")


def sample_paths(regex: str) -> tuple[str, ...]:
    """At least one path for each alternative of the pattern, in full."""
    pattern = _NAMED.sub(_value, regex.removeprefix("^").removesuffix("$"))
    paths = tuple(sorted({_plain(text) for text in _alternatives(pattern)}))
    assert all(re.match(regex, path) for path in paths), regex
    return paths


def _value(group: re.Match[str]) -> str:
    name, inner = group[1], group[2]
    if re.fullmatch(r"[\w|]+", inner):
        return f"({inner})"
    return _VALUES.get(name, "x")


def _alternatives(pattern: str) -> Iterator[str]:
    group = _INNERMOST.search(pattern)
    if group is None:
        yield pattern
        return
    choices = [*group[1].split("|"), *([""] if group[2] else [])]
    for choice in choices:
        yield from _alternatives(pattern[: group.start()] + choice + pattern[group.end() :])


def _plain(text: str) -> str:
    """Without escapes and an optional slash at the end; what may follow is `x`."""
    return re.sub(r"\\(.)", r"\1", text.removesuffix("/?")).replace(".*", "x")
