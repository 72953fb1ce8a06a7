"""Another database: everything stops before anything starts.

Fences are locks in the database, so processes of two databases would not wait for each other: two
main processes would be one server to the rest of the world. Nothing warms up beside the old ones.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

from homeserver_operator.api.actions import Scale
from homeserver_operator.api.names import MAIN, PROCESS_LABEL
from homeserver_operator.api.world import Object, World
from homeserver_operator.plan.files import config_map_of, connections_of
from homeserver_operator.plan.handover import scale
from homeserver_operator.plan.rollout import Rollout
from homeserver_operator.plan.rollouts import synapse_pods
from homeserver_operator.plan.scaling import was_stopped

_REASON = "it uses another database than the one that is wanted"


@dataclass(frozen=True)
class Relocation:
    """What still is to leave another database.

    `workloads` are Deployments and ReplicaSets that have or would start pods on it, `processes`
    those of which anything is left. `begun`: some have stopped for it already.
    """

    workloads: tuple[Object, ...] = field(default=(), repr=False)
    processes: tuple[str, ...] = ()
    begun: bool = False

    def stops(self) -> Iterator[Scale]:
        """What ends those who are left."""
        for workload in self.workloads:
            if workload["spec"].get("replicas", 1):
                yield scale(workload, 0, _REASON)


def find_relocation(
    rollouts: Mapping[str, Rollout], contents: Mapping[str, Object], world: World
) -> Relocation:
    """`contents` are the ConfigMaps that are wanted, by name."""
    main = rollouts[MAIN].wanted
    if main is None:
        return Relocation()
    elsewhere = _who_is_elsewhere(main["spec"]["template"], contents, world)
    of_others = [
        (process, workload)
        for process, rollout in rollouts.items()
        for workload in (rollout.live, *rollout.old)
        if workload is not None and elsewhere(workload["spec"]["template"])
    ]
    left = {process for process, workload in of_others if workload["spec"].get("replicas", 1)}
    left |= {
        pod["metadata"]["labels"][PROCESS_LABEL] for pod in synapse_pods(world) if elsewhere(pod)
    }
    if not left:
        return Relocation()
    return Relocation(
        tuple(workload for _process, workload in of_others),
        tuple(process for process in rollouts if process in left),
        begun=any(map(_has_stopped, rollouts.values())),
    )


def _who_is_elsewhere(
    main: Object, contents: Mapping[str, Object], world: World
) -> Callable[[Object], bool]:
    """The question whether a template is on another database than that which main is to use."""
    maps = {**world.of_kind("ConfigMap"), **contents}
    # They are made of one spec, which names one database: reading them takes longer than all else.
    alike: Container[str | None] = contents if config_map_of(main) in contents else ()

    def elsewhere(template: Object) -> bool:
        if config_map_of(template) in alike:
            return False
        ours, theirs = connections_of(main, maps), connections_of(template, maps)
        if ours is None or theirs is None or None in {ours.database, theirs.database}:
            return False
        return ours.database != theirs.database

    return elsewhere


def _has_stopped(rollout: Rollout) -> bool:
    """Whether a process was stopped although somebody is wanted; to wake a group is no consent."""
    if rollout.wanted is None or rollout.live is None:
        return False
    return bool(rollout.wanted["spec"].get("replicas")) and was_stopped(rollout.live)
