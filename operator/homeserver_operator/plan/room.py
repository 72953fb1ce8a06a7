"""Whether new pods have no room beside the old ones, so that these must stop first.

Told from nonsense, like a node selector that nothing meets, for which nobody must be stopped: only
where a new pod asks for no more than its predecessor, and for what that one has.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from homeserver_operator.api.quantities import quantity
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.plan.rollouts import Rollout

_CROWDED: Final = ("Insufficient ", "Too many pods", "ReadWriteOncePod", "free ports")
"""In the scheduler's message where another pod's going would help."""


def has_no_room(rollout: Rollout, freed: Iterable[Object], world: World) -> bool:
    """Whether the process can only start when old pods have stopped.

    `freed` are the ReplicaSets that are let go at the same time; a process that had a pod before is
    to find room where that one was.
    """
    if not rollout.live:
        return False
    template = rollout.live["spec"]["template"]
    if not any(
        _asks_no_more(template, replica_set["spec"]["template"])
        for replica_set in rollout.old or freed
    ):
        return False
    return _exceeds_quota(rollout) or any(
        is_crowded_out(pod) or _is_kept_out(pod, rollout, world) for pod in rollout.pods
    )


def is_crowded_out(pod: Object) -> bool:
    """Whether a pod has no node because of what others take."""
    return any(
        condition["type"] == "PodScheduled"
        and condition["status"] == "False"
        and any(word in condition.get("message", "") for word in _CROWDED)
        for condition in pod.get("status", {}).get("conditions", ())
    )


def _is_kept_out(pod: Object, rollout: Rollout, world: World) -> bool:
    """Whether a volume that one node may have at a time is at the old pod's node."""
    node = pod["spec"].get("nodeName")
    if not node or pod.get("status", {}).get("phase") != "Pending":
        return False
    if not any(_one_node(volume, world) for volume in pod["spec"].get("volumes", ())):
        return False
    old = {replica_set["metadata"]["uid"] for replica_set in rollout.old}
    nodes = {
        other["spec"].get("nodeName")
        for other in world.of_kind("Pod").values()
        if any(owner["uid"] in old for owner in other["metadata"].get("ownerReferences", ()))
    }
    return bool(nodes - {node, None})


def _one_node(volume: Mapping[str, Any], world: World) -> bool:
    claim = volume.get("persistentVolumeClaim")
    if not claim:
        return False
    live = world.children.get(ObjectKey("PersistentVolumeClaim", claim["claimName"]))
    return live is not None and "ReadWriteMany" not in live["spec"].get("accessModes", ())


def _exceeds_quota(rollout: Rollout) -> bool:
    conditions = (rollout.current or {}).get("status", {}).get("conditions", ())
    return any(
        condition["type"] == "ReplicaFailure"
        and condition["status"] == "True"
        and "exceeded quota" in condition.get("message", "")
        for condition in conditions
    )


def _asks_no_more(new: Object, old: Object) -> bool:
    before, after = _requests(old), _requests(new)
    return all(
        (size := quantity(asked)) is not None
        and (had := quantity(before.get(name, 0))) is not None
        and size <= had
        for name, asked in after.items()
    )


def _requests(template: Object) -> Mapping[str, Any]:
    (container,) = template["spec"]["containers"][:1]
    requests: Mapping[str, Any] = container.get("resources", {}).get("requests", {})
    return requests
