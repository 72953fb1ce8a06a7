"""What a kind of proxy can say of the route table, and what a topology loses where it cannot.

The one place that decides what is dropped, always in the direction that stays correct: a narrow row
that cannot be said is left out, so that the wide row of its pattern has all of these requests;
hashing is for caches only.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from homeserver_operator.routes import Target
from homeserver_operator.routes.classes import HashKey
from homeserver_operator.routes.table import Route


@dataclass(frozen=True)
class Capabilities:
    """What a dialect can say beside paths.

    `hash_by` tells for each key of the table what the proxy hashes by, a key that is missing is not
    hashed by at all. `read_timeout`: the time that a class needs can be said, or the proxy waits
    that long anyway. `body_size`: the largest body can be said. `longest_query` bounds the pattern
    of a query parameter's value, in characters.
    """

    methods: bool
    without_query: bool
    query: bool
    read_timeout: bool
    body_size: bool
    hash_by: Mapping[HashKey, str] = field(default_factory=dict)
    longest_query: int | None = None


@dataclass(frozen=True)
class Reduction:
    """Something that is not said, and the route classes that go without it."""

    what: str
    route_classes: tuple[str, ...]


def reduce_targets(targets: tuple[Target, ...], can: Capabilities) -> tuple[Target, ...]:
    """The targets with the rows that can be said, and that say more than that main has the rest."""
    workers = {row.pattern for target in targets if not target.is_main for row in target.routes}
    return tuple(
        dataclasses.replace(
            target,
            routes=tuple(
                row
                for row in target.routes
                if not any(_unsaid(row, can))
                and (not target.is_main or (row.narrow and row.pattern in workers))
            ),
        )
        for target in targets
    )


def reductions(targets: tuple[Target, ...], can: Capabilities) -> tuple[Reduction, ...]:
    """What is lost of the targets that workers answer, in the order of the classes."""
    otherwise = {
        row.pattern: target.groups for target in targets for row in target.routes if not row.narrow
    }
    classes: dict[str, list[str]] = {}
    for target in targets:
        if not target.is_main:
            for what in dict.fromkeys(_lost(target, can, otherwise)):
                classes.setdefault(what, []).append(target.route_class.name)
    return tuple(Reduction(what, tuple(names)) for what, names in classes.items())


def _lost(
    target: Target, can: Capabilities, otherwise: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    for row in target.routes:
        # Where the same processes answer the wide row, nobody notices.
        if otherwise.get(row.pattern) != target.groups:
            yield from _unsaid(row, can)
    yield from target.dropped
    key = target.route_class.hash_by
    if key and not target.single and can.hash_by.get(key) != key:
        instead = can.hash_by.get(key)
        yield f"hashing by {key}" + (f", only by {instead}" if instead else "")
    if not can.read_timeout:
        yield f"waiting {target.route_class.read_timeout} s for an answer"


def _unsaid(row: Route, can: Capabilities) -> Iterator[str]:
    if row.methods and not can.methods:
        yield "telling methods apart"
    if row.without_query and not can.without_query:
        yield f"telling requests without {row.without_query} apart"
    if row.query and not (can.query and _fits(row.query[1], can.longest_query)):
        yield f"telling requests by {row.query[0]} apart"


def _fits(pattern: str, longest: int | None) -> bool:
    return longest is None or len(pattern) <= longest
