"""Sample requests for the rows of the route table, such that they change nothing.

Whatever a pattern leaves open becomes a word that is no valid id of anything, so that an endpoint
which needs no credentials looks nothing up, asks no other server and writes nothing.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from homeserver_operator.cli.requests import Request, find
from homeserver_operator.routes import Target
from homeserver_operator.routes.table import Route

METHODS: Final = ("GET", "POST", "PUT", "DELETE")
"""All that Matrix uses. Synapse refuses one that a path does not have, and says that it does."""

_WORD: Final = "verify"

_VERSIONS: Final = ("v3", "v1", "v2")
"""Of a path's versions the first of these stands for all: workers register all or none."""

_TAILS: Final = {
    "/_matrix/media/": "v3/config",
    "/_matrix/client/v1/media/": "config",
    "/_matrix/federation/v1/media/": "download/verify",
    "/_synapse/client/pick_username/": "check",
}
"""What there is below a prefix that a row takes whole, and cannot be guessed from it."""

_MAIN: Final = "/_matrix/client/v3/pushers"
"""No row leads there: it stands for all that only the main process has."""

_INNERMOST: Final = re.compile(r"\(([^()]*)\)(\?|\{0,\d\})?")


@dataclass(frozen=True)
class Sample:
    """One endpoint of a row, or with None one that only main has.

    Each of `variants` holds the requests to one path of it.
    Which path is real depends on what a pattern cannot tell, such as the segments that go with one
    alternative: it is enough that the process knows one.
    """

    route: Route | None
    variants: tuple[tuple[Request, ...], ...]


def samples(targets: Iterable[Target]) -> Iterator[Sample]:
    """One for each endpoint of each row that can be told apart; `targets` as the edge tells them.

    Requests of a row that another one takes are left out.
    """
    everyone = tuple(targets)
    for target in everyone:
        for route in target.routes:
            query = _query(route, everyone)
            for paths in _endpoints(route.pattern):
                variants = (_requests(route, path, query, everyone) for path in paths)
                if found := tuple(variant for variant in variants if variant):
                    yield Sample(route, found)
    yield Sample(None, (tuple(Request(method, _MAIN) for method in METHODS),))


def _requests(
    route: Route, path: str, query: tuple[tuple[str, str], ...], targets: tuple[Target, ...]
) -> tuple[Request, ...]:
    methods = (method for method in METHODS if not route.methods or method in route.methods)
    requests = (Request(method, path, query) for method in methods)
    return tuple(
        request for request in requests if (found := find(targets, request)) and found[1] == route
    )


def _query(route: Route, targets: tuple[Target, ...]) -> tuple[tuple[str, str], ...]:
    """A query that meets the row's condition, and not that of a narrower row of its pattern."""
    if route.query:
        name, pattern = route.query
        value = next(path for _, text in _texts(pattern) for path in _filled(text))
        return ((name, value),)
    rivals = (other for target in targets for other in target.routes)
    names = {
        other.without_query
        for other in rivals
        if other.pattern == route.pattern and other.without_query and other != route
    }
    return tuple((name, _WORD) for name in sorted(names))


def _endpoints(pattern: str) -> Iterator[tuple[str, ...]]:
    """For each choice among the alternatives of a pattern the paths that there may be."""
    texts = sorted(_texts(pattern), key=lambda text: text[0])
    for _chosen, group in itertools.groupby(texts, key=lambda text: text[0]):
        paths = (path for _, text in group for path in _filled(text))
        if fitting := dict.fromkeys(path for path in paths if re.fullmatch(pattern, path)):
            yield tuple(fitting)


def _texts(pattern: str, chosen: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The pattern without groups, for every choice; with what was chosen among alternatives."""
    group = _INNERMOST.search(pattern)
    if not group:
        yield chosen, pattern
        return
    alternatives, optional = group[1].split("|"), group[2]
    if version := next((known for known in _VERSIONS if known in alternatives), None):
        alternatives = [version]
    below = pattern[: group.start()] + group[1].partition(".*")[0]
    if optional and ".*" in group[1] and below not in _TAILS:
        # Below it anything may be, also what Synapse would ask another server for.
        alternatives = []
    for alternative in [*alternatives, *([""] if optional else [])]:
        words = (*chosen, alternative.split("/")[0]) if len(alternatives) > 1 else chosen
        yield from _texts(pattern[: group.start()] + alternative + pattern[group.end() :], words)


def _filled(text: str) -> Iterator[str]:
    """What is open in a pattern without groups filled in, with as many segments as it may be."""
    head, wildcard, tail = text.partition(".*")
    if wildcard:
        text = head + _TAILS.get(head, _WORD) + tail
    text = re.sub(r"(?<!\\).\?", "", text)
    text = re.sub(r"\[[^]]*\][+*]", _WORD, text)
    for segments in (_WORD, f"{_WORD}/{_WORD}") if ".+" in text else ("",):
        yield text.replace(".+", segments).replace("\\", "")
