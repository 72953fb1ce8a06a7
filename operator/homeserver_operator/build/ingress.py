"""Ingress objects: one per route class, because annotations hold for a whole object."""

from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.names import HTTP_PORT
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_meta
from homeserver_operator.build.services import client_service_name
from homeserver_operator.routes import Target
from homeserver_operator.routes.ingress_nginx import IngressRules, compile_rules


def build_ingresses(
    server: HomeServer, targets: tuple[Target, ...], host: str
) -> Iterator[dict[str, Any]]:
    """All Ingress objects of a homeserver; none if it wants none."""
    ingress = server.ingress
    if not ingress.enabled:
        return
    for rules in compile_rules(
        targets, admin_api=ingress.admin_api, max_body_size=ingress.max_body_size
    ):
        yield _ingress(server, rules, host)


def _ingress(server: HomeServer, rules: IngressRules, host: str) -> dict[str, Any]:
    name = client_service_name(server, rules.route_class)
    backend = {"service": {"name": name, "port": {"number": HTTP_PORT}}}
    paths = [
        {"path": path, "pathType": "ImplementationSpecific", "backend": backend}
        for path in rules.paths
    ]
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": paths}}]}
    if server.ingress.class_name is not None:
        spec["ingressClassName"] = server.ingress.class_name
    if server.ingress.tls_secret_name:
        spec["tls"] = [{"hosts": [host], "secretName": server.ingress.tls_secret_name}]
    meta = object_meta(server, name, component="ingress")
    meta["annotations"] = rules.annotations | dict(server.ingress.annotations)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta,
        "spec": spec,
    }
