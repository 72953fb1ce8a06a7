"""What HAProxy Ingress' manual says of paths, as a matcher.

Paths of type regex are case-sensitive, anchored at the start only, and matched against the raw
path; the longest is tried first, and all of them after those of every other type: first exact
ones, then prefixes of whole segments.
"""

import re
from collections.abc import Iterable

from tests.core.matchers import ingress_paths
from tests.core.requests import Request

from homeserver_operator.api.world import Object

PATH_TYPE = "haproxy-ingress.github.io/path-type"


class HAProxyMatcher:
    """Answers for the Ingress objects of one host."""

    def __init__(self, ingresses: Iterable[Object], host: str) -> None:
        found = list(ingress_paths(ingresses, host))
        self.exact = {path.path: path.service for path in found if path.path_type == "Exact"}
        prefixes = [path for path in found if path.path_type == "Prefix"]
        self.prefixes = [
            (f"{path.path}/", path.service)
            for path in sorted(prefixes, key=lambda path: -len(path.path))
        ]
        expressions = [path for path in found if path.path_type == "ImplementationSpecific"]
        for path in expressions:
            assert path.ingress["metadata"]["annotations"][PATH_TYPE] == "regex"
        self.expressions = [
            (re.compile(path.path), path.service)
            for path in sorted(expressions, key=lambda path: (-len(path.path), path.path))
        ]

    def service_of(self, request: Request) -> str | None:
        """The Service that gets a request."""
        if request.path in self.exact:
            return self.exact[request.path]
        below = (name for head, name in self.prefixes if f"{request.path}/".startswith(head))
        if (name := next(below, None)) is not None:
            return name
        matching = (name for found, name in self.expressions if found.match(request.path))
        return next(matching, None)
