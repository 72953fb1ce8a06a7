"""What Traefik's manual says of rules, as a matcher for its Ingress annotations and IngressRoutes.

A router has a rule and a priority, by default the length of the rule; the highest that matches
wins. Expressions are searched for in the path, in which reserved characters stay encoded.
"""

import re
from collections.abc import Callable, Iterable

from tests.core.matchers import ingress_paths
from tests.core.requests import Request

from homeserver_operator.api.world import Object

PREFIX = "traefik.ingress.kubernetes.io/router."
_TOKEN = re.compile(r"\s*(&&|\|\||!|\(|\)|(\w+)\(((?:`[^`]*`(?:,\s*)?)*)\))")


Holds = Callable[[Request], bool]


class TraefikMatcher:
    """Answers for routers."""

    def __init__(self, routers: Iterable[tuple[str, int, str]], host: str) -> None:
        highest_first = sorted(routers, key=lambda router: -router[1])
        self.routers = [(_Rule(rule, host).read(), service) for rule, _, service in highest_first]

    @classmethod
    def of_ingresses(cls, ingresses: Iterable[Object], host: str) -> "TraefikMatcher":
        """For plain Ingress objects with Traefik's own annotations."""
        routers = []
        for path in ingress_paths(ingresses, host):
            annotations = path.ingress["metadata"]["annotations"]
            named = annotations.get(f"{PREFIX}pathmatcher", "PathPrefix")
            matcher = "Path" if path.path_type == "Exact" else named
            rule = f"Host(`{host}`) && {matcher}(`{path.path}`)"
            priority = int(annotations.get(f"{PREFIX}priority", len(rule)))
            routers.append((rule, priority, path.service))
        return cls(routers, host)

    @classmethod
    def of_ingress_routes(cls, found: Iterable[Object], host: str) -> "TraefikMatcher":
        """For IngressRoutes."""
        return cls(
            [
                (route["match"], route["priority"], route["services"][0]["name"])
                for each in found
                for route in each["spec"]["routes"]
            ],
            host,
        )

    def service_of(self, request: Request) -> str | None:
        """The Service that gets a request."""
        return next((name for holds, name in self.routers if holds(request)), None)


class _Rule:
    """One rule, read into a function."""

    def __init__(self, text: str, host: str) -> None:
        self.tokens = [found.groups() for found in _TOKEN.finditer(text)]
        self.host = host
        self.length = sum(len(found.group()) for found in _TOKEN.finditer(text))
        assert self.length == len(text), text

    def read(self) -> Holds:
        found = self._any()
        assert not self.tokens
        return found

    def _next(self, wanted: str) -> bool:
        if self.tokens and self.tokens[0][0] == wanted:
            self.tokens.pop(0)
            return True
        return False

    def _any(self) -> Holds:
        terms = [self._all()]
        while self._next("||"):
            terms.append(self._all())
        return lambda request: any(holds(request) for holds in terms)

    def _all(self) -> Holds:
        terms = [self._one()]
        while self._next("&&"):
            terms.append(self._one())
        return lambda request: all(holds(request) for holds in terms)

    def _one(self) -> Holds:
        if self._next("!"):
            term = self._one()
            return lambda request: not term(request)
        if self._next("("):
            term = self._any()
            assert self._next(")")
            return term
        _, name, arguments = self.tokens.pop(0)
        return self._matcher(name, re.findall(r"`([^`]*)`", arguments))

    def _matcher(self, name: str, arguments: list[str]) -> Holds:
        match name, arguments:
            case "Host", [host]:
                return lambda _: host == self.host
            case "Path", [wanted]:
                return lambda request: request.path == wanted
            case "PathPrefix", [wanted]:
                return lambda request: request.path.startswith(wanted)
            case "PathRegexp", [pattern]:
                search = re.compile(pattern).search
                return lambda request: bool(search(request.path))
            case "Method", [method]:
                return lambda request: request.method == method
            case "QueryRegexp", [parameter, pattern]:
                found = re.compile(pattern).search
                return lambda request: any(map(found, request.values(parameter)))
        raise AssertionError(name)
