"""The route table in the languages of ingress controllers, one module each.

A dialect is pure: rows in, its own words for them out. What it cannot say is data
(`routes.reduction.Capabilities`), so that nothing is lost silently. Kubernetes objects are made in
`build`.
"""

from collections.abc import Mapping
from typing import Final

from homeserver_operator.routes.dialects import (
    gateway_api,
    haproxy_ingress,
    ingress_nginx,
    traefik,
    traefik_crd,
)
from homeserver_operator.routes.dialects.ingress import IngressDialect
from homeserver_operator.routes.reduction import Capabilities

GATEWAY_API: Final = "gateway-api"
TRAEFIK_CRD: Final = "traefik-crd"

INGRESS: Final[Mapping[str, IngressDialect]] = {
    "ingress-nginx": ingress_nginx.DIALECT,
    "traefik": traefik.DIALECT,
    "haproxy-ingress": haproxy_ingress.DIALECT,
}
"""Those that are spoken in the annotations of Ingress objects."""

CAPABILITIES: Final[Mapping[str, Capabilities]] = {
    **{controller: dialect.can for controller, dialect in INGRESS.items()},
    TRAEFIK_CRD: traefik_crd.CAN,
    GATEWAY_API: gateway_api.CAN,
}
