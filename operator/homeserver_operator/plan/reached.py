"""What processes of an earlier configuration still connect to: stores, and other servers.

They serve for as long as a plan waits or warms up, and finish their work when they are let go. So
nothing that they use is closed or deleted because their successors use something else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from homeserver_operator.api.names import PROCESS_LABEL, WORKER_GROUP_LABEL
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.network_policies import (
    Outward,
    build_door,
    build_egress,
    is_egress,
    outward,
)
from homeserver_operator.build.services import build_store_service
from homeserver_operator.build.stores import PORTS, managed, store_name
from homeserver_operator.plan.files import config_map_of, connections_of
from homeserver_operator.plan.rollout import Rollout
from homeserver_operator.plan.rollouts import synapse_pods
from homeserver_operator.topology import Topology


@dataclass(frozen=True)
class Reached:
    """What they connect to.

    `stores` are hosts and ports, `groups` those through which requests to other servers go.
    `unknown`: of somebody nothing is known. `direct`: somebody makes his own requests to others.
    """

    stores: frozenset[tuple[str, int]] = frozenset()
    groups: frozenset[str] = frozenset()
    unknown: bool = False
    direct: bool = False


def find_reached(
    server: HomeServer, manifests: Manifests, rollouts: Mapping[str, Rollout], world: World
) -> Reached:
    """What is used by all who are of another configuration than the wanted one.

    Their files are read only where it matters: that takes longer than all else.
    """
    if not any(map(is_egress, manifests.policies)) and not any(_abandoned(server, world)):
        return Reached()
    wanted = {each["metadata"]["name"] for each in manifests.content}
    living = tuple(_templates(rollouts, world))
    templates = {config_map_of(each): each for each in living}
    maps = world.of_kind("ConfigMap")
    of_others = [
        connections_of(each, maps) for name, each in templates.items() if name not in wanted
    ]
    known = [each for each in of_others if each is not None]
    stores = [each.stores for each in known]
    return Reached(
        frozenset(store for both in stores if both is not None for store in both),
        frozenset(_groups({name for each in known for name in each.senders}, living)),
        unknown=None in of_others or None in stores,
        direct=any(not each.senders for each in known),
    )


def policies_now(
    server: HomeServer,
    topology: Topology,
    manifests: Manifests,
    found: Reached,
    stores: Iterable[str],
) -> Iterator[Object]:
    """The policies, with every way open that somebody still takes, to `stores` among them."""
    for policy in manifests.policies:
        yield _widened(server, topology, found) if is_egress(policy) else policy
    if server.network.enabled:
        yield from (build_door(server, store) for store in stores)


def _widened(server: HomeServer, topology: Topology, found: Reached) -> Object:
    wanted = outward(server, topology)
    # To those of our own the way is open.
    ours = {store_name(server, store) for store in PORTS}
    elsewhere = [(host, port) for host, port in sorted(found.stores) if host not in ours]
    return build_egress(
        server,
        Outward(
            wanted.groups | found.groups,
            tuple(dict.fromkeys((*wanted.stores, *elsewhere))),
            anywhere=found.direct or found.unknown,
        ),
    )


def stores_in_use(server: HomeServer, found: Reached, world: World) -> Iterator[str]:
    """Stores of ours that nobody is to use any more, but somebody does."""
    hosts = {host for host, _port in found.stores}
    for store in _abandoned(server, world):
        if found.unknown or store_name(server, store) in hosts:
            yield store


def services_of(server: HomeServer, stores: Iterable[str]) -> Iterator[Object]:
    """By which they are found, for as long."""
    return (build_store_service(server, store, PORTS[store]) for store in stores)


def objects_of(server: HomeServer, stores: Iterable[str]) -> Iterator[ObjectKey]:
    """All that stays with them."""
    for store in stores:
        yield from (ObjectKey(kind, store_name(server, store)) for kind in _KINDS_OF_STORE)


_KINDS_OF_STORE = ("Deployment", "Service", "NetworkPolicy")


def _abandoned(server: HomeServer, world: World) -> Iterator[str]:
    """Stores that are there and not wanted."""
    for store in PORTS.keys() - managed(server).keys():
        if ObjectKey("Deployment", store_name(server, store)) in world.children:
            yield store


def _templates(rollouts: Mapping[str, Rollout], world: World) -> Iterator[Object]:
    """Of all that lives or is to live: templates, and pods that have not ended."""
    for rollout in rollouts.values():
        for workload in (rollout.live, *rollout.old):
            if workload is not None and workload["spec"].get("replicas", 1):
                yield workload["spec"]["template"]
    yield from synapse_pods(world)


def _groups(processes: set[str], living: Iterable[Object]) -> Iterator[str]:
    """Of those that live: whose Deployment is gone may still have pods that end."""
    for template in living:
        labels = template["metadata"].get("labels", {})
        if labels.get(PROCESS_LABEL) in processes and (group := labels.get(WORKER_GROUP_LABEL)):
            yield group
