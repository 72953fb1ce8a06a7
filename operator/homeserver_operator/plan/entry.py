"""How traffic comes in while a router comes or goes, so that nobody is led to where it is not.

A router takes over once it is ready, and goes once nothing leads to it any more. Everything is read
from what lives, so an operator may die between any two writes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.edge import (
    build_edge,
    build_edge_at_services,
    leads_to,
    live_entrances,
)
from homeserver_operator.build.router_access import router_name
from homeserver_operator.plan.router_config import is_routers, live_config
from homeserver_operator.routes import Target


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
    entrances = live_entrances(server, world)
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


def still_needed(server: HomeServer, world: World, *, edge_settled: bool) -> Iterator[ObjectKey]:
    """What the router's pods use although the spec no longer asks for it.

    One that is to go stays until what leads traffic in does not lead to it, and all that it needs
    until its last pod has ended: that goes on accepting until controllers have learned.
    """
    if server.router:
        if config := live_config(server, world):
            yield ObjectKey("ConfigMap", config)
        return
    mine = {key: child for key, child in world.children.items() if is_routers(child)}
    running = {key for key in mine if key.kind in {"Deployment", "Pod"}}
    for key in mine:
        if not edge_settled or (running and key not in running):
            yield key
