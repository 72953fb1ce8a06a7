"""The route table in the matches of the Gateway API's HTTPRoute (gateway.networking.k8s.io/v1).

A match can say method and query, but only that a parameter is there, not that it is missing; so a
pair of rows is turned round: what has the parameter is the narrow one. The API bounds the number of
matches, so the patterns of a class are joined. Whether an expression must match the whole path and
which of two comes first is up to each implementation, so expressions are anchored, and only ever
compete with the same expression under fewer conditions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.exposure import Site
from homeserver_operator.routes.reduction import Capabilities, reduce_targets
from homeserver_operator.routes.table import Route

LONGEST_PATH: Final = 1024
MOST_MATCHES_OF_A_RULE: Final = 64
MOST_MATCHES: Final = 128

CAN: Final = Capabilities(
    methods=True, without_query=True, query=True, read_timeout=True, body_size=False
)

PathType = Literal["RegularExpression", "PathPrefix", "Exact"]


@dataclass(frozen=True)
class Match:
    """One way in which a request matches: all of its conditions hold.

    `query` are names of parameters and expressions for their values.
    """

    path_type: PathType
    path: str
    method: str | None = None
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RouteRules:
    """One HTTPRoute object: rules that all lead to one Service.

    A target has several if it has more matches than one object can hold; `part` counts them.
    """

    target: Target
    part: int
    rules: tuple[tuple[Match, ...], ...]


def compile_rules(targets: tuple[Target, ...], site: Site) -> Iterator[RouteRules]:
    """The rules of every class that workers answer, and those of main, which has the rest."""
    seen = tuple(t for t in site.of(reduce_targets(targets, CAN)) if not t.is_main)
    matches: dict[str, list[Match]] = {target.route_class.name: [] for target in seen}
    mains = matches.setdefault(MAIN_TARGET.route_class.name, [])
    split = _by_narrowed_pattern(seen)
    for pattern, narrow in split.items():
        for name, match in _turned_round(pattern, narrow, _owner(pattern, seen)):
            matches[name].append(match)
    for target in seen:
        wide = [row.pattern for row in target.routes if row.pattern not in split]
        matches[target.route_class.name] += _joined(wide)
    mains += [Match("PathPrefix", prefix) for prefix in site.prefixes]
    mains += [Match("Exact", path) for path in site.exact]
    for target in (*seen, MAIN_TARGET):
        yield from _objects(target, matches[target.route_class.name])


def _by_narrowed_pattern(targets: Iterable[Target]) -> dict[str, list[Route]]:
    """The narrow rows of each pattern that has any, the first to be tried first."""
    narrow: dict[str, list[Route]] = {}
    for target in targets:
        for row in target.routes:
            if row.narrow:
                narrow.setdefault(row.pattern, []).append(row)
    return narrow


def _owner(pattern: str, targets: Iterable[Target]) -> str:
    """The class of the wide row of a pattern; main where no worker answers it."""
    for target in targets:
        for row in target.routes:
            if row.pattern == pattern and not row.narrow:
                return target.route_class.name
    return MAIN_TARGET.route_class.name


def _turned_round(pattern: str, narrow: Iterable[Route], owner: str) -> Iterator[tuple[str, Match]]:
    """The matches of one pattern with conditions, and the classes that they lead to.

    More conditions come first everywhere, so a row that the parameter of a later one could outweigh
    is there with that parameter, too.
    """
    path = _anchored([pattern])
    missing = next((row.without_query for row in narrow if row.without_query), None)
    there = ((missing, ".+"),) if missing else ()
    unconditional = False
    for row in narrow:
        query = ((row.query[0], f"^(?:{row.query[1]})$"),) if row.query else ()
        for method in sorted(row.methods) or (None,):
            if there:
                name = owner if row.without_query else row.route_class
                yield name, Match("RegularExpression", path, method, query + there)
            # After a row for all that lack the parameter, only those that have it are left.
            if not unconditional:
                yield row.route_class, Match("RegularExpression", path, method, query)
        unconditional |= not row.methods and not row.query
    if not unconditional:
        yield owner, Match("RegularExpression", path)


def _joined(patterns: Iterable[str]) -> Iterator[Match]:
    """Patterns as alternatives of as few expressions as their length allows."""
    together: list[str] = []
    for pattern in patterns:
        if together and len(_anchored([*together, pattern])) > LONGEST_PATH:
            yield Match("RegularExpression", _anchored(together))
            together = []
        together.append(pattern)
    if together:
        yield Match("RegularExpression", _anchored(together))


def _anchored(patterns: list[str]) -> str:
    return f"^{patterns[0]}$" if len(patterns) == 1 else f"^(?:{'|'.join(patterns)})$"


def _objects(target: Target, matches: list[Match]) -> Iterator[RouteRules]:
    for part, begin in enumerate(range(0, len(matches), MOST_MATCHES)):
        here = matches[begin : begin + MOST_MATCHES]
        rules = tuple(
            tuple(here[first : first + MOST_MATCHES_OF_A_RULE])
            for first in range(0, len(here), MOST_MATCHES_OF_A_RULE)
        )
        yield RouteRules(target, part, rules)
