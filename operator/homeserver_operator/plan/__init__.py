"""From what is wanted and what is there to the writes that make them one, and nothing more.

Level-triggered: an operator that dies anywhere goes on from what it observes next.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from homeserver_operator.api.actions import Apply, Plan, Scale
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import MAIN
from homeserver_operator.api.observed import controller_of, key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.plan.entry import find_entry, still_needed
from homeserver_operator.plan.former import has_class, still_led_to
from homeserver_operator.plan.handover import let_go, make_room, scale
from homeserver_operator.plan.leading import leading_now, services_now
from homeserver_operator.plan.memory import noted
from homeserver_operator.plan.reached import (
    find_reached,
    objects_of,
    policies_now,
    services_of,
    stores_in_use,
)
from homeserver_operator.plan.records import disowned
from homeserver_operator.plan.restarting import Restarts, find_restarts
from homeserver_operator.plan.retention import inherited, reowned
from homeserver_operator.plan.rollout import revision_of
from homeserver_operator.plan.router_config import access_now, told_of_main
from homeserver_operator.plan.surge import surging
from homeserver_operator.plan.unwanted import find_unwanted
from homeserver_operator.plan.writes import Rewritten, writes_of
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.topology import Topology


@dataclass(frozen=True)
class Outlook:
    """The plan, what restarts with it, and namesakes of ours that are somebody else's.

    `bypasses_router`: there is to be a router, but traffic still goes where it went without.
    `staying` are Services that lead to who had their route class before, `rewritten` objects that
    are otherwise than they were applied.
    """

    plan: Plan
    restarts: Restarts
    strangers: tuple[ObjectKey, ...] = ()
    bypasses_router: bool = False
    staying: tuple[str, ...] = ()
    rewritten: tuple[Rewritten, ...] = ()


def make_plan(
    server: HomeServer, topology: Topology, manifests: Manifests, world: World, now: datetime
) -> Outlook:
    """Compare and decide. With strangers in the way nothing at all is written."""
    restarts = find_restarts(server, topology, manifests, world, now)
    others = (*_strangers(server, manifests.all(), world), *inherited(server, world))
    if strangers := tuple(sorted(others)):
        return Outlook(Plan(), restarts, strangers)
    entry = find_entry(server, manifests, world, switching=restarts.switch is not None)
    services = services_now(server, manifests, restarts, world)
    staying = still_led_to(restarts.moves, services[client_service_name(server, MAIN)])
    reached = find_reached(server, manifests, restarts.rollouts, world)
    stores = tuple(stores_in_use(server, reached, world))
    network = (*(services | staying).values(), *services_of(server, stores))
    leading = leading_now(manifests, restarts, entry, network, world)
    routes = tuple(told_of_main(server, leading, world))
    policies = tuple(policies_now(server, topology, manifests, reached, stores))
    found = tuple(_applies(server, manifests, restarts, (policies, routes), world))
    applies = tuple(each for each in found if isinstance(each, Apply))
    edge_settled = not any(BY_KIND[each.key.kind].entrance and not each.again for each in applies)
    used = {key_of(manifest) for manifest in entry.usual}
    used |= set(objects_of(server, stores))
    used |= set(still_needed(server, world, edge_settled=edge_settled))
    used |= {
        key_of(each.live)
        for each in restarts.rollouts.values()
        if each.live and has_class(each, restarts.moves.values())
    }
    plan = Plan(
        applies=applies,
        scales=tuple(_scales(manifests, restarts, topology)),
        deletes=tuple(find_unwanted(server, manifests, restarts, used, world)),
        amends=(
            *reowned(server, world),
            *disowned(world),
            *noted(restarts.rollouts.values()),
        ),
        decisive=frozenset(_decisive(server, manifests, restarts)),
    )
    return Outlook(
        plan,
        restarts,
        bypasses_router=entry.bypasses,
        staying=tuple(sorted(staying)),
        rewritten=tuple(each for each in found if isinstance(each, Rewritten)),
    )


def _decisive(server: HomeServer, manifests: Manifests, restarts: Restarts) -> Iterator[ObjectKey]:
    """Main's Service, and by which configuration the router goes from then on, in a switch.

    Whoever goes outside of one is called by a Service that must be turned before, or it would lead
    nowhere if that failed.
    """
    switch = restarts.switch
    if not switch or any(
        each.old for process, each in restarts.rollouts.items() if process not in switch.members
    ):
        return
    yield ObjectKey("Service", client_service_name(server, MAIN))
    if manifests.router:
        yield key_of(manifests.router.service)


def _applies(
    server: HomeServer,
    manifests: Manifests,
    restarts: Restarts,
    around: tuple[Iterable[Object], Iterable[Object]],
    world: World,
) -> Iterator[Apply | Rewritten]:
    """In an order in which nothing starts before what it needs, and routes come last.

    `around` are policies and routes as they should be now.
    """
    policies, routes = around
    yield from writes_of(access_now(server, manifests, world), world)
    yield from writes_of((*manifests.content, *manifests.volumes), world)
    stores = (each for each in manifests.stores if restarts.go or not _replaces_pods(each, world))
    yield from writes_of((*policies, *stores, *manifests.routing), world)
    services = tuple(manifest for manifest in routes if manifest["kind"] == "Service")
    yield from writes_of(services, world)
    for process, manifest in manifests.synapse.items():
        if restarts.may_start(process) and not _is_led_to(process, restarts):
            yield from writes_of([surging(process, manifest, restarts)], world)
    yield from writes_of((route for route in routes if route["kind"] != "Service"), world)


def _is_led_to(process: str, restarts: Restarts) -> bool:
    """Whether a group that is to have nobody must serve on, because routes do not leave it yet."""
    rollout = restarts.rollouts[process]
    asked = restarts.holds_routes or has_class(rollout, restarts.moves.values())
    return rollout.emptied and asked


def _scales(manifests: Manifests, restarts: Restarts, topology: Topology) -> Iterator[Scale]:
    """Who is let go, and how many there are of those whose new revision has to wait."""
    if restarts.relocation.processes and restarts.go:
        yield from restarts.relocation.stops()
        return
    members = restarts.switch.members if restarts.switch else ()
    named = {process.name for process in topology.processes if process.named}
    for process, rollout in restarts.rollouts.items():
        waits = process in members or (process in named and rollout.applied)
        if waits and restarts.handed_over(process):
            yield from let_go(rollout)
        elif not waits and process in restarts.warm and rollout.warm < rollout.replicas:
            yield from make_room(rollout)
        if restarts.finishing or _is_led_to(process, restarts):
            continue
        if rollout.live and rollout.changed and not restarts.may_start(process):
            wanted = manifests.synapse[process]["spec"].get("replicas")
            if wanted is not None and wanted != rollout.live["spec"].get("replicas", 1):
                yield scale(rollout.live, wanted, "spec.replicas is not as wanted")


def _replaces_pods(manifest: Object, world: World) -> bool:
    live = world.children.get(key_of(manifest))
    return live is not None and revision_of(live) != revision_of(manifest)


def _strangers(server: HomeServer, wanted: Iterable[Object], world: World) -> Iterator[ObjectKey]:
    """Labelled as ours, but controlled by another object (a namesake's, or a predecessor's)."""
    for manifest in wanted:
        live = world.children.get(key_of(manifest))
        if live is not None and controller_of(live) not in {None, server.uid}:
            yield key_of(manifest)
