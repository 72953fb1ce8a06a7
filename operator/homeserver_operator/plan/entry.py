"""How traffic comes in while a router comes or goes, so that nobody is led to where it is not.

A router takes over once it is ready, and goes once nothing leads to it any more. Everything is read
from what lives, so an operator may die between any two writes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import ROLE_LABEL, ROUTER, ROUTER_CONFIG_ANNOTATION
from homeserver_operator.api.observed import controller_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.edge import build_edge, build_edge_at_services, leads_to
from homeserver_operator.build.router_access import build_role, router_name
from homeserver_operator.routes import Target

_COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True)
class Entry:
    """What leads traffic in, as it should be now.

    `bypasses`: there is to be a router, but traffic still goes where it went without. `server` is
    the HomeServer with the router, or without.
    """

    server: HomeServer
    targets: tuple[Target, ...]
    usual: tuple[Object, ...]
    bypasses: bool

    @cached_property
    def at_services(self) -> tuple[Object, ...]:
        """The same, but leading to addresses of Services only."""
        return tuple(build_edge_at_services(self.server, self.targets))


def find_entry(server: HomeServer, manifests: Manifests, world: World, *, switching: bool) -> Entry:
    """The way in. While processes switch it does not change from one kind to the other."""
    targets = manifests.targets
    if server.router is None or not _is_past_the_router(server, world, switching=switching):
        return Entry(server, targets, manifests.edge, bypasses=False)
    without = replace(server, router=None)
    return Entry(without, targets, tuple(build_edge(without, targets)), bypasses=True)


def _is_past_the_router(server: HomeServer, world: World, *, switching: bool) -> bool:
    entrances = [
        child
        for key, child in world.children.items()
        if BY_KIND[key.kind].entrance and controller_of(child) == server.uid
    ]
    # Of a homeserver that nobody reaches yet there is nothing to lose, and one that is reached
    # through its router stays so: to go back and forth would take controllers longer than it helps.
    if not entrances or any(leads_to(child, router_name(server)) for child in entrances):
        return False
    return switching or not _is_ready(server, world)


def _is_ready(server: HomeServer, world: World) -> bool:
    """Whether as many of its pods are ready as when one is just being replaced."""
    live = world.children.get(ObjectKey("Deployment", router_name(server)))
    if live is None or "deletionTimestamp" in live["metadata"]:
        return False
    wanted = server.router.replicas if server.router else 1
    return bool(live.get("status", {}).get("readyReplicas", 0) >= max(wanted - 1, 1))


def access_now(server: HomeServer, manifests: Manifests, world: World) -> Iterator[Object]:
    """Accounts and rights; a pod may read what it is told to run by now, not only what it will be.

    Until its Service names the next configuration a new pod starts with the one before.
    """
    before = _live_config(server, world)
    for manifest in manifests.access:
        if manifest["kind"] == "Role" and manifests.router and before:
            names = sorted({manifests.router.config, before})
            yield build_role(server, *names)
        else:
            yield manifest


def _live_config(server: HomeServer, world: World) -> str | None:
    """The ConfigMap that the router's Service names, if it is one that we made for this."""
    service = world.children.get(ObjectKey("Service", router_name(server)))
    annotations: Mapping[str, str] = service["metadata"].get("annotations", {}) if service else {}
    name = annotations.get(ROUTER_CONFIG_ANNOTATION, "")
    found = world.children.get(ObjectKey("ConfigMap", name))
    ours = found is not None and _is_routers(found) and controller_of(found) == server.uid
    return name if ours else None


def still_needed(server: HomeServer, world: World, *, edge_settled: bool) -> Iterator[ObjectKey]:
    """What the router's pods use although the spec no longer asks for it.

    One that is to go stays until what leads traffic in does not lead to it, and all that it needs
    until its last pod has ended: that goes on accepting until controllers have learned.
    """
    if server.router:
        if config := _live_config(server, world):
            yield ObjectKey("ConfigMap", config)
        return
    mine = {key: child for key, child in world.children.items() if _is_routers(child)}
    running = {key for key in mine if key.kind in {"Deployment", "Pod"}}
    for key in mine:
        if not edge_settled or (running and key not in running):
            yield key


def _is_routers(child: Object) -> bool:
    labels: Mapping[str, str] = child["metadata"].get("labels", {})
    return labels.get(ROLE_LABEL) == ROUTER or labels.get(_COMPONENT) == ROUTER
