"""What leads to pods, as it should be now, which may be as it was.

Services, what traffic comes in by, and who scales whom they lead to. Before a switch all of it
stays, and then it turns together.
"""

from collections.abc import Iterator

from homeserver_operator.api.names import EPOCH_LABEL, PROCESS_LABEL
from homeserver_operator.api.observed import key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.services import at_its_address
from homeserver_operator.fences import TOPOLOGY
from homeserver_operator.plan import selection
from homeserver_operator.plan.difference import stamp, stamped_alike
from homeserver_operator.plan.entry import Entry
from homeserver_operator.plan.restarting import Restarts
from homeserver_operator.plan.router_config import told_now


def leading_now(
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
            if _is_repair(each, world)
            or _leads_to_others(each, manifests, restarts, world)
            or restarts.scales_who_stays(each)
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


def services_now(
    server: HomeServer, manifests: Manifests, restarts: Restarts, world: World
) -> dict[str, Object]:
    """Services by name as they should be now, were no route class on its way."""
    return {
        service["metadata"]["name"]: service
        for service in _services(server, manifests, restarts, world)
    }


def _services(
    server: HomeServer, manifests: Manifests, restarts: Restarts, world: World
) -> Iterator[Object]:
    for service in manifests.network:
        process = manifests.follows.get(service["metadata"]["name"])
        if process is not None:
            rollout, over = restarts.rollouts[process], restarts.handed_over(process)
            yield selection.following(service, rollout, handed_over=over, world=world)
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
    yield from _lost(server, manifests, restarts, world)


def _lost(
    server: HomeServer, manifests: Manifests, restarts: Restarts, world: World
) -> Iterator[Object]:
    """Services by which those of an epoch that goes call each other, where one was deleted."""
    there = {key_of(each) for each in manifests.network} | world.children.keys()
    for process, rollout in restarts.rollouts.items():
        for replica_set in filter(None, (rollout.current, *rollout.old)):
            service = selection.replicating(server, process, replica_set)
            if service and key_of(service) not in there and replica_set["spec"].get("replicas"):
                yield service


def _is_repair(manifest: Object, world: World) -> bool:
    live = world.children.get(key_of(manifest))
    if live is None:
        return bool(manifest["kind"] == "Service")
    return stamped_alike(stamp(manifest), live)
