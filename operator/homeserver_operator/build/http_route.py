"""HTTPRoute objects of the Gateway API: one per route class and host."""

from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.edge_meta import backend, edge_meta
from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects.gateway_api import Match, RouteRules, compile_rules
from homeserver_operator.routes.exposure import Site


def build_http_routes(
    server: HomeServer, targets: tuple[Target, ...], site: Site, rest: Target
) -> Iterator[dict[str, Any]]:
    """All HTTPRoute objects of one host; `rest` has what no row leads elsewhere."""
    for rules in compile_rules(targets, site, rest):
        yield _http_route(server, rules, site)


def _http_route(server: HomeServer, rules: RouteRules, site: Site) -> dict[str, Any]:
    name, port = backend(server, rules.target)
    return {
        "apiVersion": BY_KIND["HTTPRoute"].api_version,
        "kind": "HTTPRoute",
        "metadata": edge_meta(server, rules.target, site, {}, part=rules.part),
        "spec": {
            "parentRefs": [_parent(server)],
            "hostnames": [site.host],
            "rules": [
                {
                    "matches": [_match(match) for match in matches],
                    "backendRefs": [{"name": name, "port": port}],
                    # It would count the whole exchange, a slow upload's and a first sync's too.
                    "timeouts": {"request": "0s"},
                }
                for matches in rules.rules
            ],
        },
    }


def _parent(server: HomeServer) -> dict[str, Any]:
    gateway = server.ingress.gateway
    assert gateway is not None  # noqa: S101 - `validate` saw to it
    parent = {"name": gateway.name}
    if gateway.namespace:
        parent["namespace"] = gateway.namespace
    if gateway.section_name:
        parent["sectionName"] = gateway.section_name
    return parent


def _match(match: Match) -> dict[str, Any]:
    written: dict[str, Any] = {"path": {"type": match.path_type, "value": match.path}}
    if match.method:
        written["method"] = match.method
    if match.query:
        written["queryParams"] = [
            {"type": "RegularExpression", "name": name, "value": value}
            for name, value in match.query
        ]
    return written
