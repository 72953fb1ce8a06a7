"""The rows of the table as HAProxy's map files, in stages that keep what comes first first.

All narrow rows of one target that have the same condition are a stage: a map from paths to what is
to be known of a row, looked up if the condition holds and no stage before has found anything. Wide
rows are the last: first those that are plain paths, for which there is an index, then the others,
all of whom HAProxy tries in turn, so that those of which the same is known are one. Within a target
order does not matter, and of wide rows only one matches a path.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from homeserver_operator.render.router.patterns import merged, paths
from homeserver_operator.routes import Target
from homeserver_operator.routes.table import Route

PATHS: Final = "paths.map"
ROUTES: Final = "routes.map"
PODS: Final = "pods.map"

Condition = tuple[frozenset[str], str | None, tuple[str, str] | None]


@dataclass(frozen=True)
class Stage:
    """Rows under one condition, with the target that each leads to; none for wide rows.

    `file` is the map, `values` that with the pattern of a query parameter's value, if there is one.
    """

    file: str
    rows: tuple[tuple[Target, Route], ...]
    methods: frozenset[str] = frozenset()
    without_query: str | None = None
    query: tuple[str, str] | None = None

    @property
    def narrow(self) -> bool:
        """Whether there is a condition."""
        return self.file not in {PATHS, ROUTES}

    @property
    def plain(self) -> bool:
        """Whether its rows are plain paths."""
        return self.file == PATHS

    @property
    def by_user(self) -> bool:
        """Whether it is for some users alone, those of application services."""
        return self.query is not None and self.query[0] == "user_id"

    @property
    def values(self) -> str:
        """The file with the pattern of the query parameter's value."""
        return self.file.replace(".map", ".values")


def make_stages(everyone: Iterable[Target]) -> tuple[Stage, ...]:
    """The narrow ones in the order of their targets, then the wide ones."""
    stages: list[Stage] = []
    plain: list[tuple[Target, Route]] = []
    others: list[tuple[Target, Route]] = []
    for target in everyone:
        by_condition: dict[Condition, list[Route]] = {}
        for row in target.routes:
            if row.narrow:
                key = (row.methods, row.without_query, row.query)
                by_condition.setdefault(key, []).append(row)
            else:
                (plain if paths(row.pattern) else others).append((target, row))
        for (methods, without_query, query), rows in by_condition.items():
            file = f"narrow-{len(stages) + 1}.map"
            found = tuple((target, row) for row in rows)
            stages.append(Stage(file, found, methods, without_query, query))
    return (*stages, Stage(PATHS, tuple(plain)), Stage(ROUTES, tuple(others)))


def render_maps(stages: Iterable[Stage]) -> dict[str, str]:
    """The files by name."""
    return dict(_files(stages))


def _files(stages: Iterable[Stage]) -> Iterator[tuple[str, str]]:
    for stage in stages:
        lines = _paths(stage) if stage.plain else _patterns(stage)
        yield stage.file, "".join(f"{line}\n" for line in lines)
        if stage.query:
            # \z, because $ would take a line's end that follows.
            yield stage.values, f"^(?:{in_a_file(stage.query[1])})\\z\n"


def _paths(stage: Stage) -> Iterator[str]:
    for target, row in stage.rows:
        for path in paths(row.pattern) or ():
            yield f"{path} {facts(target, row)}"


def _patterns(stage: Stage) -> Iterator[str]:
    by_facts: dict[str, list[str]] = {}
    for target, row in stage.rows:
        by_facts.setdefault(facts(target, row), []).append(row.pattern)
    for known, patterns in by_facts.items():
        yield f"^{in_a_file(merged(patterns))}$ {known}"


BY_DEVICE: Final = "device"
"""Beside the methods that may be sent again: those of who has a device."""


def facts(target: Target, row: Route) -> str:
    """What is known of a request by its row: class, what may be sent again, what it hashes by.

    Rows for application services alone do not say what may be sent again: everybody's do.
    """
    hash_by = "" if target.single else target.route_class.hash_by or "nothing"
    words = [*sorted(row.replay), *([BY_DEVICE] if row.by_device else [])]
    again = "" if target.appservices else "+".join(words)
    return f"{target.route_class.name}:{again}:{hash_by}"


_SPECIAL: Final = re.compile(r"\\?[\x00-\x20\x7f]")


def in_a_file(pattern: str) -> str:
    """A pattern without white space, which ends it in a map, and without the ends of lines.

    What is escaped stays so: an escaped backslash before a space is no escaped space.
    """
    return re.sub(
        r"(\\[^\x00-\x20\x7f])|" + _SPECIAL.pattern,
        lambda found: found[1] or f"\\x{ord(found[0][-1]):02x}",
        pattern,
    )
