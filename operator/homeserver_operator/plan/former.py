"""Who answers a route class until those who are to have it next are there.

A class moves by its Service's selector, and a new group may take minutes to serve, or never does.
So the Service leads to who had the class before, as long as they can answer and too few of the next
are ready; and a group that is to go stays while it is led to. Not so in an epoch switch: there all
that leads to pods turns at once. Everything is read from what lives, so an edit may be taken back
and an operator may die at any time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver_operator.api.names import (
    EPOCH_LABEL,
    MAIN,
    PROCESS_LABEL,
    REVISION_LABEL,
    TEMPLATE_HASH_LABEL,
)
from homeserver_operator.api.observed import is_ready, is_selected, key_of
from homeserver_operator.api.roles import MEDIA
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.fences import TOPOLOGY
from homeserver_operator.plan.restarting import Restarts
from homeserver_operator.plan.rollouts import Rollout, is_warm
from homeserver_operator.plan.room import crowded_out
from homeserver_operator.plan.router_config import pods_to_be
from homeserver_operator.plan.selection import following
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.routes import Target
from homeserver_operator.topology import Topology

Selector = Mapping[str, str]

_OF_ONE_REVISION = frozenset({EPOCH_LABEL, REVISION_LABEL, TEMPLATE_HASH_LABEL})
"""Labels by which pods of the same processes differ."""

_PUBLISH = "publishNotReadyAddresses"


@dataclass(frozen=True)
class _Move:
    """A route class on its way: its Service as it is to be, and the spec by which it led before."""

    service: Object
    before: Mapping[str, Any]
    epoch: Selector

    @property
    def former(self) -> Selector:
        """What the pods have that had the class."""
        return {**_members(self.before["selector"]), **self.epoch}

    @property
    def coming(self) -> Selector:
        """What the pods have that are to have it."""
        return {**_members(self.service["spec"]["selector"]), **self.epoch}


def still_led_to(
    server: HomeServer, topology: Topology, manifests: Manifests, restarts: Restarts, world: World
) -> dict[str, Object]:
    """By name the Services of route classes that lead to who had the class before, as they do."""
    moves = dict(_moves(server, topology, manifests, restarts, world))
    rollouts = restarts.rollouts
    # While others switch nobody goes.
    going = [] if restarts.switch else [each for each in rollouts.values() if not each.wanted]
    found: dict[str, Object] = {}
    while True:
        # Who is still led to for one class makes no room for those who are to have another.
        kept = set(led_to(found, world))
        going = [each for each in going if each.live and key_of(each.live) not in kept]
        more = {
            name: _with(move.service, move.before)
            for name, move in moves.items()
            if name not in found and _too_few(move, going, rollouts, manifests, world)
        }
        if not more:
            return found
        found |= more


def _moves(
    server: HomeServer, topology: Topology, manifests: Manifests, restarts: Restarts, world: World
) -> Iterator[tuple[str, _Move]]:
    """By its Service's name each class that somebody has had, and may be to have for longer."""
    services = {service["metadata"]["name"]: service for service in manifests.network}
    main = following(
        services[client_service_name(server, MAIN)],
        restarts.rollouts[MAIN],
        handed_over=restarts.handed_over(MAIN),
        world=world,
    )
    epoch = {EPOCH_LABEL: str(manifests.fences.marks[TOPOLOGY].epoch)}
    for target in manifests.targets:
        if not target.has_own_service:
            continue
        name = client_service_name(server, target.route_class.name)
        live = world.children.get(ObjectKey("Service", name))
        if live is None or live["spec"].get("selector", {}).get(PROCESS_LABEL) == MAIN:
            if _main_can(target, topology):
                yield name, _Move(services[name], main["spec"], epoch)
        else:
            # To processes, whichever of their revisions serves.
            selector = _members(live["spec"].get("selector", {})) | epoch
            yield name, _Move(services[name], {**live["spec"], "selector": selector}, epoch)


def led_to(services: Mapping[str, Object], world: World) -> Iterator[ObjectKey]:
    """The Deployments whose pods these Services lead to."""
    for deployment in world.of_kind("Deployment").values():
        template = deployment["spec"]["template"]
        if any(is_selected(template, each["spec"]["selector"]) for each in services.values()):
            yield key_of(deployment)


def _main_can(target: Target, topology: Topology) -> bool:
    """Whether main answers a class that somebody else is to have, as it did when nobody had it.

    Not what a stream's writer must have, nor media, for which it has no repository then.
    """
    members = [process for group in target.groups for process in topology.of_group(group)]
    return target.claim != MEDIA and not any(target.claim in each.writes for each in members)


def _with(service: Object, before: Mapping[str, Any]) -> Object:
    spec = {key: part for key, part in service["spec"].items() if key != _PUBLISH}
    published = {_PUBLISH: True} if before.get(_PUBLISH) else {}
    return {**service, "spec": {**spec, "selector": before["selector"], **published}}


def _members(selector: Selector) -> dict[str, str]:
    """What the pods of some processes have, of whichever revision."""
    return {name: value for name, value in selector.items() if name not in _OF_ONE_REVISION}


def _too_few(
    move: _Move,
    going: Iterable[Rollout],
    rollouts: Mapping[str, Rollout],
    manifests: Manifests,
    world: World,
) -> bool:
    """Whether fewer are ready to take a class over than have it, and more are to come.

    One alone would be overrun by what several answered. Who has no room beside those that go comes
    when they have gone.
    """
    former, coming = move.former, move.coming
    if former == coming:
        return False
    # Main's Service leads to who is warm, because there is nobody else.
    is_able = is_warm if former.get(PROCESS_LABEL) == MAIN else is_ready
    able = sum(is_able(pod) for pod in _pods(former, world))
    # A process that goes may be of a group by the same name.
    there = [
        pod
        for pod in _pods(coming, world)
        if pod["metadata"]["labels"].get(PROCESS_LABEL) in manifests.synapse
    ]
    total = pods_to_be(coming, manifests, world)
    freed = [
        replica_set
        for each in going
        for replica_set in each.outdated
        if is_selected(replica_set["spec"]["template"], former)
    ]
    expected = total - sum(
        crowded_out(each, freed, world)
        for each in rollouts.values()
        if each.wanted and is_selected(each.wanted["spec"]["template"], coming)
    )
    if _stays(former, manifests):
        expected = max(expected, min(total, 1))
    return sum(is_ready(pod) for pod in there) < min(able, expected)


def _stays(selector: Selector, manifests: Manifests) -> bool:
    """Whether some of these processes are wanted; if none is, their going makes room."""
    templates = (each["spec"]["template"] for each in manifests.synapse.values())
    return any(is_selected(template, selector) for template in templates)


def _pods(selector: Selector, world: World) -> Iterator[Object]:
    """Pods that are to stay and that listen for clients once they serve."""
    for pod in world.of_kind("Pod").values():
        stays = "deletionTimestamp" not in pod["metadata"]
        if stays and is_selected(pod, selector) and _listens(pod):
            yield pod


def _listens(pod: Object) -> bool:
    """Whether a Service finds the port in it: who serves nobody gets one by a restart only."""
    return any(
        port.get("name") == "http"
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
    )
