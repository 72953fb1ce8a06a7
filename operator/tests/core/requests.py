"""Requests of all kinds, to try the dialects with."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from tests.core import ownership

from homeserver_operator.routes import Target
from homeserver_operator.routes.table import Route


@dataclass(frozen=True)
class Request:
    """One request as it stands on the wire; the query without its question mark."""

    path: str
    method: str = "GET"
    query: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """The query, decoded; of several values of one name the first."""
        return {name: values[0] for name, values in self._query().items()}

    def values(self, name: str) -> list[str]:
        """The decoded values of a query parameter."""
        return self._query().get(name, [])

    def _query(self) -> dict[str, list[str]]:
        return parse_qs(self.query, keep_blank_values=True)


HOSTILE = (
    "typing",
    "tags",
    "m.room.name",
    "%21r%3Ax",
    "sync",
    "receipt",
    "$",
    "@u:x",
    "..a",
    "%23",
)
"""Tails that users may choose: words of rows, encoded and plain ids."""


SEED, MOST_SPLIT = 4, 1500
OPEN = ("/_matrix/", "/_synapse/client/", "/_synapse/admin/")


def corpus(targets: Iterable[Target]) -> list[Request]:
    """Real paths, plain and percent-encoded, with hostile tails, methods and queries."""
    paths = sorted(path for path in ownership.samples() if path.startswith(OPEN))
    # As little encoded as the wire allows, and as much as clients do.
    paths = [quote(path, safe="/%.:!$&'()*+,;=@~") for path in paths]
    plain = [Request(path) for path in paths]
    encoded = [Request(quote(path, safe="/%.:")) for path in paths]
    tailed = [
        Request(f"{path.rstrip('/')}/{HOSTILE[index % len(HOSTILE)]}")
        for index, path in enumerate(paths)
    ]
    narrow = [row for target in targets for row in target.routes if row.narrow]
    split = [
        Request(path, method, query)
        for path in paths
        if any(re.fullmatch(row.pattern, path) for row in narrow)
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")
        for query in _queries(narrow)
    ]
    chosen = random.Random(SEED).sample(split, min(len(split), MOST_SPLIT))  # noqa: S311 - a sample
    return list(dict.fromkeys([*plain, *encoded, *tailed, *chosen]))


def _queries(narrow: Iterable[Route]) -> list[str]:
    """The parameters that rows ask for: missing, empty, there, look-alikes, and all together."""
    names = {row.without_query for row in narrow if row.without_query}
    names |= {row.query[0] for row in narrow if row.query}
    queries = ["", "timeout=30000"]
    for name in sorted(names):
        queries += [f"{name}=", f"no{name}=1", f"{name}=s72594_4483_1934&timeout=0"]
    queries += ["user_id=%40bridge_1%3Amaple.example", "user_id=@robot:maple.example"]
    queries += ["full_state=true", "full_state=true&since=s1", "full_state=truex"]
    together = "user_id=%40bridge_2%3Amaple.example&since=s1&full_state=true"
    return list(dict.fromkeys([*queries, together]))
