"""From what is wanted and what is there to the writes that make them one, and nothing more.

Level-triggered: an operator that dies anywhere goes on from what it observes next.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from homeserver_operator.api.actions import Apply, Delete, Plan, Scale
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import EPOCH_LABEL, MAIN, PROCESS_LABEL
from homeserver_operator.api.observed import controller_of, key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, Rewrite, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.services import at_its_address
from homeserver_operator.fences import TOPOLOGY
from homeserver_operator.plan import scaling, selection
from homeserver_operator.plan.difference import (
    first_difference,
    rewrite_of,
    stamp,
    stamped_alike,
)
from homeserver_operator.plan.entry import Entry, find_entry, still_needed
from homeserver_operator.plan.former import led_to, still_led_to
from homeserver_operator.plan.handover import let_go, make_room, scale
from homeserver_operator.plan.mounted import mounted_content
from homeserver_operator.plan.records import disowned, is_lost
from homeserver_operator.plan.restarting import Restarts, find_restarts
from homeserver_operator.plan.retention import inherited, reowned
from homeserver_operator.plan.rollouts import revision_of
from homeserver_operator.plan.router_config import access_now, told_now, told_of_main
from homeserver_operator.plan.volumes import not_smaller
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.topology import Topology
from homeserver_operator.validate.sources import generated_names


@dataclass(frozen=True)
class Rewritten:
    """An object that stays as an admission webhook has it, by the paths of these fields."""

    key: ObjectKey
    fields: tuple[str, ...]


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
    services = {service["metadata"]["name"]: service for service in manifests.network}
    main = _following(services[client_service_name(server, MAIN)], MAIN, restarts, world)
    staying = still_led_to(restarts.moves, main)
    network = tuple(_network(server, manifests, restarts, staying, world))
    leading = _routes(manifests, restarts, entry, network, world)
    routes = tuple(told_of_main(server, leading, world))
    found = tuple(_applies(server, manifests, restarts, routes, world))
    applies = tuple(each for each in found if isinstance(each, Apply))
    edge_settled = not any(BY_KIND[each.key.kind].entrance and not each.again for each in applies)
    used = {key_of(manifest) for manifest in entry.usual}
    used |= set(still_needed(server, world, edge_settled=edge_settled))
    used |= set(led_to(restarts.moves.values(), world))
    plan = Plan(
        applies=applies,
        scales=tuple(_scales(manifests, restarts, topology)),
        deletes=tuple(_unwanted(server, manifests, restarts, used, world)),
        amends=(*reowned(server, world), *disowned(world)),
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
    routes: Iterable[Object],
    world: World,
) -> Iterator[Apply | Rewritten]:
    """In an order in which nothing starts before what it needs, and routes come last."""
    yield from _differences(access_now(server, manifests, world), world)
    yield from _differences((*manifests.content, *manifests.volumes), world)
    stores = (each for each in manifests.stores if restarts.go or not _replaces_pods(each, world))
    yield from _differences((*manifests.policies, *stores, *manifests.routing), world)
    services = tuple(manifest for manifest in routes if manifest["kind"] == "Service")
    yield from _differences(services, world)
    for process, manifest in manifests.synapse.items():
        if restarts.may_start(process) and not _is_led_to(process, restarts):
            yield from _writes(_surging(process, manifest, restarts), world)
    yield from _differences((route for route in routes if route["kind"] != "Service"), world)


def _routes(
    manifests: Manifests,
    restarts: Restarts,
    entry: Entry,
    network: tuple[Object, ...],
    world: World,
) -> tuple[Object, ...]:
    """What leads to pods, as it should be now; `network` are its Services."""
    if restarts.holds_routes:
        # A Service that is gone was most likely deleted; one that is new leads nowhere yet.
        repairs = (
            each
            for each in (*network, *manifests.autoscalers)
            if _is_repair(each, world) or _leads_to_others(each, manifests, restarts, world)
        )
        return (*repairs, *_approached(entry, restarts, world))
    waiting = any(
        service["spec"].get("publishNotReadyAddresses")
        for service in network
        if EPOCH_LABEL in service["spec"]["selector"]
    )
    edge = entry.at_services if waiting else entry.usual
    return (*network, *manifests.autoscalers, *edge)


def _leads_to_others(
    manifest: Object, manifests: Manifests, restarts: Restarts, world: World
) -> bool:
    """Whether it is the Service of a process that does not switch, and has been.

    While others switch that one may be handed over all the same, and must be found then.
    """
    live = world.children.get(key_of(manifest))
    process = manifests.follows.get(manifest["metadata"]["name"])
    if live is None or restarts.switch is None or process in {None, *restarts.switch.members}:
        return False
    selector = live["spec"].get("selector", {})
    return bool(manifest["kind"] == "Service" and selector.get(PROCESS_LABEL) == process)


def _approached(entry: Entry, restarts: Restarts, world: World) -> Iterator[Object]:
    """What leads traffic in before a switch: where routes stay, to Services' addresses already.

    Controllers take seconds to learn that, in which old pods still serve.
    """
    for usual, at_services in zip(entry.usual, entry.at_services, strict=True):
        if _is_repair(usual, world) or _is_repair(at_services, world):
            yield at_services if restarts.go else usual


def _network(
    server: HomeServer,
    manifests: Manifests,
    restarts: Restarts,
    staying: Mapping[str, Object],
    world: World,
) -> Iterator[Object]:
    """Services as they should be now, which may be as they were."""
    for service in manifests.network:
        process = manifests.follows.get(service["metadata"]["name"])
        if service["metadata"]["name"] in staying:
            yield staying[service["metadata"]["name"]]
        elif process is not None:
            yield _following(service, process, restarts, world)
        elif EPOCH_LABEL in service["spec"]["selector"]:
            yield selection.listening(
                service,
                at_its_address(server),
                switching=restarts.switch is not None and TOPOLOGY in restarts.switch.fences,
                world=world,
            )
        elif manifests.router and service is manifests.router.service and not restarts.switch:
            yield told_now(server, service, manifests, world)
        else:
            yield service


def _following(service: Object, process: str, restarts: Restarts, world: World) -> Object:
    """The Service of one process as it should be now."""
    rollout, over = restarts.rollouts[process], restarts.handed_over(process)
    return selection.following(service, rollout, handed_over=over, world=world)


def _surging(process: str, manifest: Object, restarts: Restarts) -> Object:
    """In a switch all new pods of a group are there before the first old one goes.

    It is put back when they serve, so that nothing is written while people wait.
    """
    rollout = restarts.rollouts[process]
    switches = restarts.switch is not None and process in restarts.switch.members
    surges = rollout.live is not None and _surge(rollout.live) == _ALL and not rollout.settled
    if rollout.replicas < 2 or not (switches or surges):
        return manifest
    strategy = manifest["spec"]["strategy"]
    rolling = {**strategy["rollingUpdate"], "maxSurge": _ALL}
    return {
        **manifest,
        "spec": {**manifest["spec"], "strategy": {**strategy, "rollingUpdate": rolling}},
    }


_ALL = "100%"


def _surge(deployment: Object) -> object:
    return deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge")


def _is_led_to(process: str, restarts: Restarts) -> bool:
    """Whether a group that is to have nobody must serve on, because routes do not leave it yet."""
    return restarts.holds_routes and restarts.rollouts[process].emptied


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


def _is_repair(manifest: Object, world: World) -> bool:
    live = world.children.get(key_of(manifest))
    if live is None:
        return bool(manifest["kind"] == "Service")
    return stamped_alike(stamp(manifest), live)


def _strangers(server: HomeServer, wanted: Iterable[Object], world: World) -> Iterator[ObjectKey]:
    """Labelled as ours, but controlled by another object (a namesake's, or a predecessor's)."""
    for manifest in wanted:
        live = world.children.get(key_of(manifest))
        if live is not None and controller_of(live) not in {None, server.uid}:
            yield key_of(manifest)


def _differences(wanted: Iterable[Object], world: World) -> Iterator[Apply | Rewritten]:
    for manifest in wanted:
        yield from _writes(manifest, world)


def _writes(manifest: Object, world: World) -> Iterator[Apply | Rewritten]:
    """The apply of one object, if it is due, between those that its number of replicas needs."""
    order = _difference(manifest, world)
    live = world.children.get(key_of(manifest))
    if order and live and (vain := _in_vain(order, live, world)):
        yield Rewritten(order.key, tuple(vain.fields))
        order = replace(order, again=True) if vain.due else None
    if manifest["kind"] != "Deployment" or live is None:
        if order:
            yield order
        return
    if order is None and scaling.changes_hands(manifest, live):
        order = Apply(stamp(manifest), live["metadata"]["uid"], "spec.replicas changes hands")
    if order is None and is_lost(live):
        reason = "nothing says which of its fields are ours"
        order = Apply(stamp(manifest), live["metadata"]["uid"], reason)
    if order is None:
        order = scaling.start_again(manifest, live)
    around = (scaling.hand_over(manifest, live), order, scaling.take_back(manifest, live))
    yield from filter(None, around)


def _difference(manifest: Object, world: World) -> Apply | None:
    stamped = stamp(manifest)
    live = world.children.get(key_of(manifest))
    if live is None:
        return Apply(stamped, None, "missing")
    if manifest["kind"] == "PersistentVolumeClaim":
        stamped = not_smaller(stamped, live)
    if path := first_difference(stamped, live):
        return Apply(stamped, live["metadata"]["uid"], f"{path} is not as wanted")
    return None


def _in_vain(order: Apply, live: Object, world: World) -> Rewrite | None:
    """What is known of just this apply, if the object is still as it came out of it before."""
    known = world.rewrites.get(order.key)
    return known if known and known == rewrite_of(order.manifest, live) else None


def _unwanted(
    server: HomeServer,
    manifests: Manifests,
    restarts: Restarts,
    used: Iterable[ObjectKey],
    world: World,
) -> Iterator[Delete]:
    """Our own objects that nothing wants or uses any more, what uses things before the things.

    In a switch only what leads traffic in, when all that leads to pods turns: to whom it leads,
    ends.
    """
    if restarts.holds_routes:
        return
    wanted = {key_of(manifest) for manifest in manifests.all()}
    generated = {ObjectKey("Secret", name) for name in generated_names(server)}
    keep = wanted.union(used, mounted_content(world), generated, _called(world))
    order = list(BY_KIND)
    kinds = {each.kind for each in BY_KIND.values() if each.pruned}
    if restarts.switch:
        kinds = {each for each in kinds if BY_KIND[each].entrance}
    unused = [key for key in world.children if key not in keep and key.kind in kinds]
    for key in sorted(unused, key=lambda key: (-order.index(key.kind), key.name)):
        live = world.children[key]
        if controller_of(live) == server.uid and "deletionTimestamp" not in live["metadata"]:
            yield Delete(key, live["metadata"]["uid"], "no longer wanted")


def _called(world: World) -> Iterator[ObjectKey]:
    """Replication Services of epochs of which pods are left."""
    epochs = selection.called_epochs(world)
    for name, service in world.of_kind("Service").items():
        if service["metadata"].get("labels", {}).get(EPOCH_LABEL) in epochs:
            yield ObjectKey("Service", name)
