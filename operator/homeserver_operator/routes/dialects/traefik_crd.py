"""The route table in the rules of Traefik's IngressRoute (traefik.io/v1alpha1).

A rule is an expression over host, path, method and query, with a priority of its own, so every row
can be said. Traefik cannot hash by what the table hashes by, waits for answers as long as they
take, and lets bodies of any size through.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.dialects.traefik import MAIN_PRIORITY, WORKER_PRIORITY
from homeserver_operator.routes.exposure import Site
from homeserver_operator.routes.reduction import Capabilities, reduce_targets
from homeserver_operator.routes.table import Route

NARROW_PRIORITY: Final = 3000

_HOST: Final = re.compile(r"Host\(`([^`]+)`\)")

CAN: Final = Capabilities(
    methods=True, without_query=True, query=True, read_timeout=True, body_size=False
)


@dataclass(frozen=True)
class Rule:
    """One expression; the highest priority that matches wins."""

    match: str
    priority: int


@dataclass(frozen=True)
class RouteRules:
    """One IngressRoute object: rules that all lead to one Service."""

    target: Target
    rules: tuple[Rule, ...]


def compile_rules(
    targets: tuple[Target, ...], site: Site, rest: Target = MAIN_TARGET
) -> Iterator[RouteRules]:
    """One set of rules per class that workers answer, and one for whoever has the rest."""
    seen = site.of(reduce_targets(targets, CAN))
    # Of several narrow rows of one pattern the first wins, as in the table.
    narrow = [row for target in seen for row in target.routes if row.narrow]
    first = {row: NARROW_PRIORITY + len(narrow) - place for place, row in enumerate(narrow)}
    for target in seen:
        if not target.is_main:
            yield RouteRules(target, tuple(_rules(target, first, site.host)))
    mains = [f"PathPrefix(`{prefix}/`)" for prefix in site.prefixes]
    mains += [f"Path(`{path}`)" for path in site.exact]
    rules = [rule for t in seen if t.is_main for rule in _rules(t, first, site.host)]
    yield RouteRules(rest, (*rules, _rule(site.host, [_any(mains)], MAIN_PRIORITY)))


def _rules(target: Target, priorities: Mapping[Route, int], host: str) -> Iterator[Rule]:
    for row in target.routes:
        if row.narrow:
            yield _rule(host, [_path(row), *_conditions(row)], priorities[row])
    if wide := [_path(row) for row in target.routes if not row.narrow]:
        yield _rule(host, [_any(wide)], WORKER_PRIORITY)


def _rule(host: str, conditions: list[str], priority: int) -> Rule:
    return Rule(" && ".join([f"Host(`{host}`)", *conditions]), priority)


def hosts_in(match: str) -> list[str]:
    """The hosts that a rule of ours is for."""
    return _HOST.findall(match)


def _path(row: Route) -> str:
    return f"PathRegexp(`^{row.pattern}$`)"


def _conditions(row: Route) -> Iterator[str]:
    if row.methods:
        yield _any([f"Method(`{method}`)" for method in sorted(row.methods)])
    if row.without_query:
        yield f"!QueryRegexp(`{row.without_query}`, `.`)"
    if row.query:
        name, pattern = row.query
        # A registration may hold any letter; this one would end the expression.
        value = pattern.replace("`", r"\x60")
        yield f"QueryRegexp(`{name}`, `^(?:{value})$`)"


def _any(alternatives: list[str]) -> str:
    joined = " || ".join(alternatives)
    return joined if len(alternatives) == 1 else f"({joined})"
