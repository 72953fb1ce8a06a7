"""What the table says of a request, read as its documentation has it: the dialects' yardstick."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

from tests.core.case import Case, References

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.world import Object
from homeserver_operator.routes import Target, targets
from homeserver_operator.routes.table import ROUTES, Route

Query = Mapping[str, str]


def targets_of(body: Object, users: References | None = None) -> tuple[Target, ...]:
    """The targets of a HomeServer; `users` are the Secrets that it names."""
    case = Case("table", body, users or {})
    return targets(case.valid, case.topology)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def on_path(path: str, rows: Iterable[Route] = ROUTES) -> list[Route]:
    """The rows whose pattern the path matches."""
    return [row for row in rows if _compiled(row.pattern).fullmatch(path)]


def holds(row: Route, method: str, query: Query) -> bool:
    """Whether a request on the row's path also meets its conditions."""
    if row.methods and method not in row.methods:
        return False
    if row.without_query and query.get(row.without_query):
        return False
    if row.query:
        name, pattern = row.query
        return name in query and _compiled(pattern).fullmatch(query[name]) is not None
    return True


def decide(
    found: Iterable[Target], method: str, path: str, query: Query | None = None
) -> Target | None:
    """The target that gets a request; None is main, for what no row names."""
    matching = [
        (target, row)
        for target in found
        for row in on_path(path, target.routes)
        if holds(row, method, query or {})
    ]
    narrow = [target for target, row in matching if row.narrow]
    return next(iter([*narrow, *(target for target, _row in matching)]), None)


def class_of(path: str) -> str:
    """The class of a path where neither methods nor queries can be told apart."""
    wide = [row for row in on_path(path) if not row.narrow and row.only != "mas"]
    return wide[0].route_class if wide else MAIN
