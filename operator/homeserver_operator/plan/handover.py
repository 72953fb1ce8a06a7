"""How far a restart is: whether old pods must still serve, or may be let go.

New pods warm up beside the old and wait for their fences with bound sockets. When all of them are
warm, Services turn to them, and then the old are let go, through their ReplicaSets: to delete a pod
would only have its ReplicaSet start another. Everything is read from what lives, so an operator may
die between any two writes.
"""

from collections.abc import Iterable, Iterator, Mapping

from homeserver_operator.api.actions import Scale
from homeserver_operator.api.names import MAIN, REVISION_LABEL
from homeserver_operator.api.observed import has_ready
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.fences import Fences
from homeserver_operator.plan.rollout import Rollout, revision_of
from homeserver_operator.plan.room import has_no_room
from homeserver_operator.plan.scaling import number_of_others
from homeserver_operator.plan.waves import Switch


def is_warm(rollout: Rollout, freed: Iterable[Object], world: World) -> bool:
    """Whether the new pods of one process are as far as they get before the old ones go.

    `freed` are the ReplicaSets that go with them.
    """
    if rollout.wanted is None or not rollout.replicas:
        return True
    if not rollout.applied:
        return False
    return rollout.warm >= rollout.replicas or has_no_room(rollout, freed, world)


def is_committed(
    switch: Switch,
    rollouts: Mapping[str, Rollout],
    fences: Fences,
    main_service: Object | None,
    world: World,
) -> bool:
    """Whether an epoch switch is past the point of no return.

    It is once main's Service leads to the new revision, which is the first step of letting go, or
    if a process has entered already, because the old ones died by themselves. Only a fence that
    rises tells: at one that goes back, whoever has not been let go is already.
    """
    main = rollouts[MAIN]
    if main.applied and main_service:
        selector = main_service["spec"].get("selector", {})
        if selector.get(REVISION_LABEL) == revision_of(main.wanted or {}):
            return True
    return any(
        rollouts[process].applied
        and not switch.risen.isdisjoint(fences.of(process))
        and (rollouts[process].ready or _entered(rollouts[process], switch.risen, fences, world))
        for process in switch.members
    )


def _entered(rollout: Rollout, risen: frozenset[str], fences: Fences, world: World) -> bool:
    for pod in rollout.pods:
        held = world.states.get(pod["metadata"]["name"], {}).get("fences")
        if isinstance(held, dict) and any(
            held.get(fence) == fences.marks[fence].epoch for fence in risen
        ):
            return True
    return False


def let_go(rollout: Rollout) -> Iterator[Scale]:
    """What ends the old pods of a process."""
    if rollout.wanted is None:
        if rollout.live and rollout.live["spec"].get("replicas", 1):
            yield scale(rollout.live, 0, "no longer wanted")
        return
    if rollout.current is None or not rollout.applied:
        # The controller does not know of the new revision yet, and would start the old one again;
        # or an edit is taken back, and the old one is the new one.
        return
    for replica_set in rollout.old:
        yield scale(replica_set, 0, f"{rollout.process} is handed over")


def make_room(rollout: Rollout) -> Iterator[Scale]:
    """What ends one old pod of a group, so that a new one finds room; the next when that serves.

    The Deployment controller makes another new pod as soon as there is one old pod less, so that
    there are always too many: only who serves tells whether the last one's room was of use. If
    others took it, or if there never was room for all, the rest serves on until there is. What is
    left of an edit that never served goes first.
    """
    if rollout.current is None or not rollout.applied or not rollout.old:
        return
    old = sum(map(_size, rollout.old))
    if old + _size(rollout.current) > rollout.replicas and old + rollout.ready >= rollout.replicas:
        first = min(rollout.old, key=has_ready)
        yield scale(first, _size(first) - 1, f"a new pod of {rollout.process} has no room")


def _size(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 0))


def scale(workload: Object, replicas: int, reason: str) -> Scale:
    """Another number of pods, for this very version of the object."""
    metadata = workload["metadata"]
    return Scale(
        ObjectKey(workload["kind"], metadata["name"]),
        metadata["uid"],
        metadata["resourceVersion"],
        replicas,
        reason,
        stopped_from=None if replicas else number_of_others(workload),
    )
