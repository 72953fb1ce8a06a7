"""What leads traffic in, in the language of the controller that serves it."""

from collections.abc import Iterator
from dataclasses import replace

from homeserver_operator.api.access import MAX_BODY_SIZE
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import ROUTER_PORT
from homeserver_operator.api.observed import controller_of
from homeserver_operator.api.references import ForeignService
from homeserver_operator.api.router import Router
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, World
from homeserver_operator.build.http_route import build_http_routes
from homeserver_operator.build.ingress import build_ingresses, build_plain_ingress
from homeserver_operator.build.ingress_route import build_ingress_routes
from homeserver_operator.build.router_access import router_name
from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.dialects import CAPABILITIES, GATEWAY_API, INGRESS, TRAEFIK_CRD
from homeserver_operator.routes.dialects.traefik_crd import hosts_in
from homeserver_operator.routes.exposure import Site, sites
from homeserver_operator.routes.reduction import Reduction, reductions


def build_edge(server: HomeServer, targets: tuple[Target, ...]) -> Iterator[Object]:
    """Every object that leads traffic in, the host of the clients first.

    Where there is a router they lead to it alone, and it knows the table.
    """
    if server.router is None:
        for site in sites(server):
            yield from _of_site(server, targets, site, MAIN_TARGET)
    else:
        target = _router_target(server, server.router, targets)
        for site in sites(server):
            yield from _of_site(server, (), site, target)


def build_edge_at_services(server: HomeServer, targets: tuple[Target, ...]) -> Iterator[Object]:
    """The same, but leading to addresses of Services only.

    For the time in which pods listen but are not ready: controllers pass these over. The router
    does not, so what leads to it stays as it is.
    """
    return build_edge(server, tuple(replace(target, single=True) for target in targets))


def edge_reductions(server: HomeServer, targets: tuple[Target, ...]) -> tuple[Reduction, ...]:
    """What the controller cannot do of what the topology and the spec ask for.

    Nothing is asked of one that leads to the router, which bounds bodies, too.
    """
    if not server.ingress.enabled or server.router:
        return ()
    can = CAPABILITIES[server.ingress.controller]
    found = reductions(targets, can)
    if server.ingress.max_body_size != MAX_BODY_SIZE and not can.body_size:
        return (*found, Reduction("ingress.maxBodySize", ()))
    return found


def live_entrances(server: HomeServer, world: World) -> tuple[Object, ...]:
    """The homeserver's own objects that lead traffic in now."""
    return tuple(
        child
        for key, child in world.children.items()
        if BY_KIND[key.kind].entrance and controller_of(child) == server.uid
    )


def hosts_of(entrance: Object) -> Iterator[str]:
    """Every host that an object leads in from."""
    spec = entrance["spec"]
    yield from spec.get("hostnames", ())
    yield from (rule["host"] for rule in spec.get("rules", ()) if "host" in rule)
    for route in spec.get("routes", ()):
        yield from hosts_in(route.get("match", ""))


def leads_to(entrance: Object, service: str) -> bool:
    """Whether any rule of an object that leads traffic in names this Service."""
    return service in set(_services(entrance))


def _services(entrance: Object) -> Iterator[str]:
    spec = entrance["spec"]
    for rule in spec.get("rules", ()):
        for path in rule.get("http", {}).get("paths", ()):
            yield path["backend"].get("service", {}).get("name", "")
        for reference in rule.get("backendRefs", ()):
            yield reference["name"]
    for route in spec.get("routes", ()):
        for service in route.get("services", ()):
            yield service["name"]


def _router_target(server: HomeServer, router: Router, targets: tuple[Target, ...]) -> Target:
    """The router in main's place: its objects have main's names.

    So an object goes over to the router in one write, and its certificate stays; two that name one
    path at the same time are refused by some controllers. A request may first wait to be held.
    """
    longest = max(each.route_class.read_timeout for each in (MAIN_TARGET, *targets))
    return replace(
        MAIN_TARGET,
        route_class=replace(MAIN_TARGET.route_class, read_timeout=longest + router.hold_seconds),
        single=False,
        service=ForeignService(router_name(server), ROUTER_PORT),
    )


def _of_site(
    server: HomeServer, targets: tuple[Target, ...], site: Site, rest: Target
) -> Iterator[Object]:
    if server.ingress.controller == TRAEFIK_CRD:
        yield from build_ingress_routes(server, targets, site, rest)
    elif server.ingress.controller == GATEWAY_API:
        yield from build_http_routes(server, targets, site, rest)
    elif rest is MAIN_TARGET:
        yield from build_ingresses(server, INGRESS[server.ingress.controller], targets, site)
    else:
        yield build_plain_ingress(server, INGRESS[server.ingress.controller], rest, site)
