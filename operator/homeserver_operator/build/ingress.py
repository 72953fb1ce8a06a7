"""Ingress objects, for controllers that read annotations: one per route class and host."""

from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.edge_meta import backend, edge_meta
from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects.ingress import (
    IngressDialect,
    IngressRules,
    compile_prefixes,
    compile_rules,
)
from homeserver_operator.routes.exposure import Site


def build_ingresses(
    server: HomeServer, dialect: IngressDialect, targets: tuple[Target, ...], site: Site
) -> Iterator[dict[str, Any]]:
    """All Ingress objects of one host."""
    for rules in compile_rules(dialect, targets, site, max_body_size=server.ingress.max_body_size):
        yield _ingress(server, rules, site)


def build_plain_ingress(
    server: HomeServer, dialect: IngressDialect, target: Target, site: Site
) -> dict[str, Any]:
    """The one Ingress of a host all of whose requests go to one target."""
    size = server.ingress.max_body_size
    return _ingress(server, compile_prefixes(dialect, target, site, max_body_size=size), site)


def _ingress(server: HomeServer, rules: IngressRules, site: Site) -> dict[str, Any]:
    name, port = backend(server, rules.target)
    service = {"service": {"name": name, "port": {"number": port}}}
    paths = [
        {"path": path, "pathType": path_type, "backend": service}
        for path_type, written in (
            ("ImplementationSpecific", rules.expressions),
            ("Prefix", rules.prefixes),
            ("Exact", rules.exact),
        )
        for path in written
    ]
    spec: dict[str, Any] = {"rules": [{"host": site.host, "http": {"paths": paths}}]}
    if server.ingress.class_name is not None:
        spec["ingressClassName"] = server.ingress.class_name
    if site.tls_secret_name:
        spec["tls"] = [{"hosts": [site.host], "secretName": site.tls_secret_name}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": edge_meta(server, rules.target, site, rules.annotations),
        "spec": spec,
    }
