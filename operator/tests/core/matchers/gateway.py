"""What the Gateway API says of HTTPRoute matches, and two implementations of what it leaves open.

How expressions are matched and which of two comes first is each implementation's. Envoy Gateway:
the whole path; exact, then expressions, then prefixes, the longer first. Traefik: a search; by a
score in which a character of the path counts 100, a method 1000 and a query parameter 10.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

from tests.core.requests import Request

from homeserver_operator.api.world import Object

Implementation = Literal["envoy-gateway", "traefik"]


class GatewayMatcher:
    """Answers for the HTTPRoutes of one host."""

    def __init__(self, routes: Iterable[Object], host: str, implementation: Implementation) -> None:
        self.full = implementation == "envoy-gateway"
        rank = _rank_of_envoy_gateway if self.full else _rank_of_traefik
        ranked = [
            (rank(match, len(route["spec"]["rules"]) - index), match,
             rule["backendRefs"][0]["name"])
            for route in routes
            if host in route["spec"]["hostnames"]
            for index, rule in enumerate(route["spec"]["rules"])
            for match in rule["matches"]
        ]  # fmt: skip
        self.matches = sorted(ranked, key=lambda each: each[0], reverse=True)

    def service_of(self, request: Request) -> str | None:
        """The Service that gets a request."""
        return next((name for _, match, name in self.matches if self._holds(match, request)), None)

    def _holds(self, match: Any, request: Request) -> bool:
        if match.get("method", request.method) != request.method:
            return False
        found = re.fullmatch if self.full else re.search
        for parameter in match.get("queryParams", ()):
            assert parameter["type"] == "RegularExpression"
            values = request.values(parameter["name"])
            if not any(found(parameter["value"], value) for value in values):
                return False
        value = match["path"]["value"]
        if match["path"]["type"] == "RegularExpression":
            return bool(found(value, request.path))
        if match["path"]["type"] == "Exact":
            return bool(request.path == value)
        return request.path == value or request.path.startswith(f"{value}/")


def _rank_of_envoy_gateway(match: Any, _rule: int) -> Any:
    kind = {"Exact": 2, "RegularExpression": 1, "PathPrefix": 0}[match["path"]["type"]]
    conditions = ("method" in match, len(match.get("queryParams", ())))
    return (kind, len(match["path"]["value"]), *conditions)


def _rank_of_traefik(match: Any, rule: int) -> Any:
    path = match["path"]
    score = 100_000 if path["type"] == "Exact" else 10_000 + 100 * len(path["value"])
    return score + 1000 * ("method" in match) + 10 * len(match.get("queryParams", ())) + rule
