"""IngressRoute objects of Traefik: one per route class and host."""

from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.edge_meta import backend, edge_meta
from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects.traefik_crd import RouteRules, compile_rules
from homeserver_operator.routes.exposure import Site


def build_ingress_routes(
    server: HomeServer, targets: tuple[Target, ...], site: Site, rest: Target
) -> Iterator[dict[str, Any]]:
    """All IngressRoute objects of one host; `rest` has what no row leads elsewhere."""
    for rules in compile_rules(targets, site, rest):
        yield _ingress_route(server, rules, site)


def _ingress_route(server: HomeServer, rules: RouteRules, site: Site) -> dict[str, Any]:
    name, port = backend(server, rules.target)
    service: dict[str, Any] = {"name": name, "port": port}
    if rules.target.single:
        # One process behind it: its Service's address outlives its pods.
        service["nativeLB"] = True
    spec: dict[str, Any] = {
        "routes": [
            {"kind": "Rule", "match": rule.match, "priority": rule.priority, "services": [service]}
            for rule in rules.rules
        ]
    }
    if site.tls_secret_name:
        spec["tls"] = {"secretName": site.tls_secret_name}
    # The field for it is newer than the installed base; the annotation works everywhere.
    selected = server.ingress.class_name
    ours = {} if selected is None else {"kubernetes.io/ingress.class": selected}
    return {
        "apiVersion": BY_KIND["IngressRoute"].api_version,
        "kind": "IngressRoute",
        "metadata": edge_meta(server, rules.target, site, ours),
        "spec": spec,
    }
