"""Every dialect with the matcher of its controller, and a topology in which all classes matter."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.core.deciding import decide, targets_of
from tests.core.matchers import Matcher
from tests.core.matchers.gateway import GatewayMatcher
from tests.core.matchers.haproxy import HAProxyMatcher
from tests.core.matchers.nginx import NginxMatcher
from tests.core.matchers.traefik import TraefikMatcher
from tests.core.requests import Request
from tests.core.worlds import BRIDGE_SECRET, EVERY_CLASS, with_bridge

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.spec import HomeServer, parse
from homeserver_operator.api.world import Object
from homeserver_operator.build.edge import build_edge
from homeserver_operator.build.services import build_client_service, build_group_service
from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.dialects import CAPABILITIES
from homeserver_operator.routes.reduction import reduce_targets

HOST = "maple.example"


@dataclass(frozen=True)
class Reader:
    """A controller that reads a dialect. `decodes`: it matches the decoded path."""

    controller: str
    matcher: Callable[[Iterable[Object], str], Matcher]
    decodes: bool = False

    def expected(self, everyone: tuple[Target, ...], request: Request) -> str:
        """The Service that the table means, less what the dialect declares that it cannot say."""
        said = reduce_targets(everyone, CAPABILITIES[self.controller])
        if self.decodes:
            request = dataclasses.replace(request, path=unquote(request.path))
        found = decide(said, request.method, request.path, request.parameters)
        return f"maple-{MAIN if found is None or found.is_main else found.route_class.name}"


READERS = {
    "ingress-nginx": Reader("ingress-nginx", NginxMatcher, decodes=True),
    "traefik": Reader("traefik", TraefikMatcher.of_ingresses),
    "traefik-crd": Reader("traefik-crd", TraefikMatcher.of_ingress_routes),
    "haproxy-ingress": Reader("haproxy-ingress", HAProxyMatcher),
    "gateway-api by Envoy Gateway": Reader(
        "gateway-api", lambda routes, host: GatewayMatcher(routes, host, "envoy-gateway")
    ),
    "gateway-api by Traefik": Reader(
        "gateway-api", lambda routes, host: GatewayMatcher(routes, host, "traefik")
    ),
}


def server(controller: str, body: Object = EVERY_CLASS, **ingress: Any) -> HomeServer:
    """A HomeServer that is served by a controller."""
    more: dict[str, Any] = {"gateway": {"name": "outer"}} if controller == "gateway-api" else {}
    spec = body["spec"]
    chosen = {**spec.get("ingress", {}), "controller": controller, **more, **ingress}
    return parse({**body, "spec": {**spec, "ingress": chosen}})


def everyone() -> tuple[Target, ...]:
    """The targets of a homeserver whose workers answer every class, and a bridge of its own."""
    body = with_bridge(EVERY_CLASS, serves=("sync", "initialSync", "client"))
    return targets_of(body, BRIDGE_SECRET)


def given_to_main(found: tuple[Target, ...], classes: Iterable[str]) -> tuple[Target, ...]:
    """The targets, as if no worker answered some of the classes."""
    return tuple(
        dataclasses.replace(target, groups=(MAIN,), single=True)
        if target.route_class.name in classes
        else target
        for target in found
    )


def matcher(reader: Reader, found: tuple[Target, ...], **ingress: Any) -> Matcher:
    """The controller with the objects of these targets."""
    return reader.matcher(build_edge(server(reader.controller, **ingress), found), HOST)


def client_services(server: HomeServer, found: Iterable[Target]) -> dict[str, dict[str, Any]]:
    """The client Services of targets, main's among them, by route class."""
    return {
        target.route_class.name: build_client_service(
            server, target.route_class.name, target.groups[0], "revision"
        )
        if target.single
        else build_group_service(server, target, 1)
        for target in (MAIN_TARGET, *found)
        if target is MAIN_TARGET or target.has_own_service
    }
