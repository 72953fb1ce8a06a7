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
from homeserver_operator.api.observed import is_ready, is_selected, listens
from homeserver_operator.api.roles import MEDIA
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.fences import TOPOLOGY
from homeserver_operator.plan.rollout import Rollout, is_warm
from homeserver_operator.plan.room import crowded_out
from homeserver_operator.plan.router_config import pods_to_be
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.routes import Target
from homeserver_operator.topology import Topology

Selector = Mapping[str, str]

_OF_ONE_REVISION = frozenset({EPOCH_LABEL, REVISION_LABEL, TEMPLATE_HASH_LABEL})
"""Labels by which pods of the same processes differ."""

_PUBLISH = "publishNotReadyAddresses"


@dataclass(frozen=True)
class Move:
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

    @property
    def in_place(self) -> bool:
        """Whether its Service stays as it is, and it is only others by the same label."""
        return self.former == self.coming

    @property
    def from_main(self) -> bool:
        """Whether main had it."""
        return self.former.get(PROCESS_LABEL) == MAIN


def find_moves(
    server: HomeServer,
    topology: Topology,
    manifests: Manifests,
    rollouts: Mapping[str, Rollout],
    world: World,
    *,
    switching: bool,
) -> dict[str, Move]:
    """By its Service's name each class for which too few are there of those who are to have it."""
    begun = {
        name: move
        for name, move in _begun(server, topology, manifests, world)
        if not move.in_place
        or (not switching and any(_leaves(each, move) for each in rollouts.values()))
    }
    # While others switch nobody goes.
    going = [] if switching else [each for each in rollouts.values() if each.live and each.ends]
    found: dict[str, Move] = {}
    while True:
        # Who is still led to for one class makes no room for those who are to have another.
        going = [each for each in going if not has_class(each, found.values())]
        more = {
            name: move
            for name, move in begun.items()
            if name not in found and _too_few(move, going, rollouts, manifests, world)
        }
        if not more:
            return found
        found |= more


def _begun(
    server: HomeServer, topology: Topology, manifests: Manifests, world: World
) -> Iterator[tuple[str, Move]]:
    """By its Service's name each class that somebody has had, and may be to have for longer."""
    services = {service["metadata"]["name"]: service for service in manifests.network}
    epoch = {EPOCH_LABEL: str(manifests.fences.marks[TOPOLOGY].epoch)}
    for target in manifests.targets:
        if not target.has_own_service:
            continue
        name = client_service_name(server, target.route_class.name)
        live = world.children.get(ObjectKey("Service", name))
        if live is None or live["spec"].get("selector", {}).get(PROCESS_LABEL) == MAIN:
            if _main_can(target, topology):
                main = services[client_service_name(server, MAIN)]
                yield name, Move(services[name], main["spec"], epoch)
        else:
            yield name, Move(services[name], live["spec"], epoch)


def still_led_to(moves: Mapping[str, Move], main: Object) -> dict[str, Object]:
    """By name the Services of these classes, leading to who had them before, as they do.

    `main` is main's Service as it is to be now. Others' lead to processes, whichever of their
    revisions serves.
    """
    return {
        name: _with(move.service, move.before, main["spec"]["selector"])
        if move.from_main
        else _with(move.service, move.before, move.former)
        for name, move in moves.items()
        if not move.in_place
    }


def has_class(rollout: Rollout, moves: Iterable[Move]) -> bool:
    """Whether a process is one of those who still have these classes, by whichever revision."""
    if rollout.live is None:
        return False
    template = rollout.live["spec"]["template"]
    return any(is_selected(template, _members(move.former)) for move in moves)


def find_needed(moves: Iterable[Move], rollouts: Mapping[str, Rollout]) -> Iterator[str]:
    """Processes that serve, and whose next revision could not be asked for a class that they have.

    None of them is to have another of these classes: it might be waited for itself.
    """
    moves = [*moves]
    for process, rollout in rollouts.items():
        if not (rollout.wanted and rollout.changed and rollout.alive):
            continue
        then = rollout.wanted["spec"]["template"]
        awaited = not rollout.emptied and any(_answers(then, each.coming) for each in moves)
        if not awaited and any(_leaves(rollout, each) for each in moves):
            yield process


def _main_can(target: Target, topology: Topology) -> bool:
    """Whether main answers a class that somebody else is to have, as it did when nobody had it.

    Not what a stream's writer must have, nor media, for which it has no repository then.
    """
    writes = any(target.claim in each.writes for each in target.members(topology))
    return target.claim != MEDIA and not writes


def _with(service: Object, before: Mapping[str, Any], selector: Selector) -> Object:
    spec = {key: part for key, part in service["spec"].items() if key != _PUBLISH}
    published = {_PUBLISH: True} if before.get(_PUBLISH) else {}
    return {**service, "spec": {**spec, "selector": dict(selector), **published}}


def _members(selector: Selector) -> dict[str, str]:
    """What the pods of some processes have, of whichever revision."""
    return {name: value for name, value in selector.items() if name not in _OF_ONE_REVISION}


def _too_few(
    move: Move,
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
    # Main's Service leads to who is warm, because there is nobody else.
    is_able = is_warm if move.from_main else is_ready
    able = sum(is_able(pod) for pod in _pods(former, world))
    next_ones = {
        process: rollout
        for process, rollout in rollouts.items()
        if rollout.wanted
        and not rollout.emptied
        and is_selected(rollout.wanted["spec"]["template"], coming)
    }
    # Others may have the label for now, or be of a group by the same name.
    there = [
        pod
        for pod in _pods(coming, world)
        if pod["metadata"]["labels"].get(PROCESS_LABEL) in next_ones
    ]
    total = pods_to_be(coming, manifests, world)
    freed = [
        replica_set
        for each in going
        for replica_set in each.outdated
        if is_selected(replica_set["spec"]["template"], former)
    ]
    expected = total - sum(crowded_out(each, freed, world) for each in next_ones.values())
    if any(_stays(each, former) for each in rollouts.values()):
        expected = max(expected, min(total, 1))
    return sum(is_ready(pod) for pod in there) < min(able, expected)


def _stays(rollout: Rollout, selector: Selector) -> bool:
    """Whether it is one of these, serves and is to go on; if none is, their end makes room."""
    if rollout.ends or not (rollout.live and rollout.alive):
        return False
    return is_selected(rollout.live["spec"]["template"], selector)


def _leaves(rollout: Rollout, move: Move) -> bool:
    """Whether a process that can be asked for a class could not be when it is as it is to be."""
    if not rollout.live or not _answers(rollout.live["spec"]["template"], move.former):
        return False
    if rollout.wanted is None or rollout.ends:
        return True
    return not _answers(rollout.wanted["spec"]["template"], move.former)


def _pods(selector: Selector, world: World) -> Iterator[Object]:
    """Pods that are to stay and that listen for clients once they serve."""
    for pod in world.of_kind("Pod").values():
        stays = "deletionTimestamp" not in pod["metadata"]
        if stays and _answers(pod, selector):
            yield pod


def _answers(template: Object, selector: Selector) -> bool:
    return is_selected(template, selector) and listens(template, "http")
