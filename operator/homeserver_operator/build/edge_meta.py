"""What the objects that lead traffic in have in common: names, annotations, and where they lead."""

import re
from collections.abc import Mapping
from typing import Any, Final

from homeserver_operator.api.names import HTTP_PORT
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_meta
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.routes import Target
from homeserver_operator.routes.exposure import Site

CERTIFICATES: Final = re.compile(r"([a-z]+\.)?cert-manager\.io/.*|kubernetes\.io/tls-acme")
"""Annotations that ask cert-manager for a certificate, or say what it is like."""


def backend(server: HomeServer, target: Target) -> tuple[str, int]:
    """Name and port of the Service of a target."""
    if target.service:
        return target.service.name, target.service.port
    return client_service_name(server, target.route_class.name), HTTP_PORT


def edge_meta(
    server: HomeServer, target: Target, site: Site, ours: Mapping[str, str], *, part: int = 0
) -> dict[str, Any]:
    """Metadata with the user's annotations over ours.

    The objects of one host share a certificate, and cert-manager wants exactly one of them to ask
    for it: main's.
    """
    name = client_service_name(server, target.route_class.name)
    name += f"-{site.name}" if site.name else ""
    name += f"-{part + 1}" if part else ""
    asks = target.is_main and site.tls_secret_name is not None
    wanted = {**_issuer(server), **server.ingress.annotations}
    annotations = {**ours} | {
        key: value for key, value in wanted.items() if asks or not CERTIFICATES.fullmatch(key)
    }
    meta = object_meta(server, name, component="ingress")
    return {**meta, "annotations": annotations} if annotations else meta


def _issuer(server: HomeServer) -> dict[str, str]:
    issuer = server.ingress.cert_manager
    if issuer is None:
        return {}
    kind = "cluster-issuer" if issuer.issuer_kind == "ClusterIssuer" else "issuer"
    return {f"cert-manager.io/{kind}": issuer.issuer_name}
