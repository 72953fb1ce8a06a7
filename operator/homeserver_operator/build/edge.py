"""What leads traffic in, in the language of the controller that serves it."""

from collections.abc import Iterator
from dataclasses import replace

from homeserver_operator.api.access import MAX_BODY_SIZE
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object
from homeserver_operator.build.http_route import build_http_routes
from homeserver_operator.build.ingress import build_ingresses
from homeserver_operator.build.ingress_route import build_ingress_routes
from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects import CAPABILITIES, GATEWAY_API, INGRESS, TRAEFIK_CRD
from homeserver_operator.routes.exposure import sites
from homeserver_operator.routes.reduction import Reduction, reductions


def build_edge(server: HomeServer, targets: tuple[Target, ...]) -> Iterator[Object]:
    """Every object that leads traffic in, the host of the clients first."""
    for site in sites(server):
        if server.ingress.controller == TRAEFIK_CRD:
            yield from build_ingress_routes(server, targets, site)
        elif server.ingress.controller == GATEWAY_API:
            yield from build_http_routes(server, targets, site)
        else:
            yield from build_ingresses(server, INGRESS[server.ingress.controller], targets, site)


def build_edge_at_services(server: HomeServer, targets: tuple[Target, ...]) -> Iterator[Object]:
    """The same, but leading to addresses of Services only.

    For the time in which pods listen but are not ready: controllers pass these over.
    """
    return build_edge(server, tuple(replace(target, single=True) for target in targets))


def edge_reductions(server: HomeServer, targets: tuple[Target, ...]) -> tuple[Reduction, ...]:
    """What the controller cannot do of what the topology and the spec ask for."""
    if not server.ingress.enabled:
        return ()
    can = CAPABILITIES[server.ingress.controller]
    found = reductions(targets, can)
    if server.ingress.max_body_size != MAX_BODY_SIZE and not can.body_size:
        return (*found, Reduction("ingress.maxBodySize", ()))
    return found
