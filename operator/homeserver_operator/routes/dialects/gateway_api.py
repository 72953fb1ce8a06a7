"""The route table in the matches of the Gateway API's HTTPRoute (gateway.networking.k8s.io/v1).

A match can say method and query, but only that a parameter is there, not that it is missing; so a
pair of rows is turned round: what has the parameter is the narrow one. The API bounds the number of
matches, so the patterns of a class are joined. Whether an expression must match the whole path and
which of two comes first is up to each implementation, so expressions are anchored, and only ever
compete with the same expression under fewer conditions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, product
from typing import Final, Literal

from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.exposure import Site
from homeserver_operator.routes.reduction import Capabilities, reduce_targets
from homeserver_operator.routes.table import Route

LONGEST_PATH: Final = 1024
MOST_MATCHES_OF_A_RULE: Final = 64
MOST_MATCHES: Final = 128

_VALUE: Final = "^(?:{})$"

CAN: Final = Capabilities(
    methods=True,
    without_query=True,
    query=True,
    read_timeout=True,
    body_size=False,
    longest_query=1024 - len(_VALUE.format("")),
)

PathType = Literal["RegularExpression", "PathPrefix", "Exact"]


Parameter = tuple[str, str]
"""Name of a query parameter and an expression for its value."""


@dataclass(frozen=True)
class Match:
    """One way in which a request matches: all of its conditions hold."""

    path_type: PathType
    path: str
    method: str | None = None
    query: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class RouteRules:
    """One HTTPRoute object: rules that all lead to one Service.

    A target has several if it has more matches than one object can hold; `part` counts them.
    """

    target: Target
    part: int
    rules: tuple[tuple[Match, ...], ...]


def compile_rules(
    targets: tuple[Target, ...], site: Site, rest: Target = MAIN_TARGET
) -> Iterator[RouteRules]:
    """The rules of every class that workers answer, and those of whoever has the rest."""
    seen = site.of(reduce_targets(targets, CAN))
    matches: dict[str, list[Match]] = {_name(target): [] for target in (*seen, MAIN_TARGET)}
    split = _by_narrowed_pattern(seen)
    for pattern, narrow in split.items():
        for name, match in _turned_round(pattern, narrow, _owner(pattern, seen)):
            matches[name].append(match)
    for target in seen:
        wide = [row.pattern for row in target.routes if row.pattern not in split]
        matches[_name(target)] += _joined(wide)
    mains = matches[MAIN_TARGET.route_class.name]
    mains += [Match("PathPrefix", prefix) for prefix in site.prefixes]
    mains += [Match("Exact", path) for path in site.exact]
    for target in (*(target for target in seen if not target.is_main), rest):
        yield from _objects(target, matches[_name(target)])


def _name(target: Target) -> str:
    return (MAIN_TARGET if target.is_main else target).route_class.name


def _by_narrowed_pattern(targets: Iterable[Target]) -> dict[str, list[tuple[str, Route]]]:
    """The narrow rows of each pattern that has any, with their classes, the first to try first."""
    narrow: dict[str, list[tuple[str, Route]]] = {}
    for target in targets:
        for row in target.routes:
            if row.narrow:
                narrow.setdefault(row.pattern, []).append((_name(target), row))
    return narrow


def _owner(pattern: str, targets: Iterable[Target]) -> str:
    """The class of the wide row of a pattern; main where no worker answers it."""
    for target in targets:
        for row in target.routes:
            if row.pattern == pattern and not row.narrow:
                return _name(target)
    return MAIN_TARGET.route_class.name


def _turned_round(
    pattern: str, narrow: list[tuple[str, Route]], owner: str
) -> Iterator[tuple[str, Match]]:
    """The matches of one pattern with conditions, and the classes that they lead to.

    Method first, then more parameters come first everywhere. So there is a match for every set of
    parameters that may be there, less those that lead where fewer parameters lead anyway.
    """
    path = _anchored([pattern])
    wide = _classes(narrow, owner, None)
    for method in (None, *sorted({method for _, row in narrow for method in row.methods})):
        classes = _classes(narrow, owner, method)
        if method and classes == wide:
            continue
        for there, name in classes.items():
            fewer = {classes[there - {parameter}] for parameter in there}
            if fewer != {name}:
                query = tuple(sorted(there))
                yield name, Match("RegularExpression", path, method, query)


def _classes(
    narrow: list[tuple[str, Route]], owner: str, method: str | None
) -> dict[frozenset[Parameter], str]:
    """The class that has a request with exactly these of the parameters that rows speak of."""
    choices: dict[str, list[tuple[Parameter, ...]]] = {}
    for _, row in narrow:
        for parameter in _parameters(row):
            choice = choices.setdefault(parameter[0], [()])
            if (parameter,) not in choice:
                choice.append((parameter,))
    sets = (frozenset(chain.from_iterable(chosen)) for chosen in product(*choices.values()))
    return {
        there: next((name for name, row in narrow if _holds(row, there, method)), owner)
        for there in sets
    }


def _parameters(row: Route) -> Iterator[Parameter]:
    if row.without_query:
        yield row.without_query, ".+"
    if row.query:
        name, value = row.query
        yield name, _VALUE.format(value)


def _holds(row: Route, there: frozenset[Parameter], method: str | None) -> bool:
    if row.methods and method not in row.methods:
        return False
    if row.without_query and any(name == row.without_query for name, _ in there):
        return False
    return row.query is None or (row.query[0], _VALUE.format(row.query[1])) in there


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
