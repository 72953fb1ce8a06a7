"""Whether new pods have no room beside the old ones, so that these must stop first.

Told from nonsense, like a node selector that nothing meets, for which nobody must be stopped: only
where a new pod asks for no more than its predecessor, and for what that one has. Nobody but people
can undo a stop that was of no use, so in doubt the old pods serve on, and people are told.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from homeserver_operator.api.observed import has_ready
from homeserver_operator.api.quantities import quantity
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.plan.rollout import Rollout
from homeserver_operator.plan.trouble import refusal_of_pods

_FULL: Final = ("Insufficient ", "Too many pods", "free ports")
"""In the scheduler's message where another pod's going would help, on a node that fits."""

_EXCLUSIVE: Final = "ReadWriteOncePod"
"""In its message for a volume that one pod may have at a time, wherever that is."""

_CLOSED: Final = re.compile(
    r"were unschedulable"
    r"|node\.(cloudprovider\.)?kubernetes\.io/(?!not-ready|unreachable)"
    r"|ToBeDeletedByClusterAutoscaler|karpenter\.sh/disrupt"
)
"""In its message where nodes take no pods any more that had some: cordoned, under pressure."""

_LOST: Final = re.compile(r"node\.kubernetes\.io/(not-ready|unreachable)")
"""In its message where nodes are dead, on which no pod is ready either."""


def has_no_room(rollout: Rollout, freed: Iterable[Object], world: World) -> bool:
    """Whether the process can only start when old pods have stopped.

    `freed` are the ReplicaSets that are let go at the same time; a process that had a pod before is
    to find room where that one was. So its node must be right for the new one, and must still take
    pods, which nobody tells us of a single node: where some are closed for now, it may be one of
    them. Nodes that keep all such pods out, like those of the control plane, never had one.
    """
    if not rollout.live:
        return False
    template = rollout.live["spec"]["template"]
    equals = [
        replica_set
        for replica_set in rollout.old or freed
        if _asks_no_more(_requests(template), _requests(replica_set["spec"]["template"]))
    ]
    if not equals:
        return False
    nearby = [each for each in equals if _fits_beside(template, each["spec"]["template"])]
    return _exceeds_quota(rollout, template, nearby) or any(
        _would_find_room(pod, nearby) or _is_kept_out(pod, rollout, world) for pod in rollout.pods
    )


def crowded_out(rollout: Rollout, freed: Iterable[Object], world: World) -> int:
    """How many new pods of a process wait until pods of these ReplicaSets of others have stopped.

    Its own old ones, if there are any, are not asked: they may stay.
    """
    if not has_no_room(replace(rollout, old=()), freed, world):
        return 0
    unmade = 0
    if rollout.current and refusal_of_pods(rollout.current):
        unmade = max(int(rollout.current["spec"].get("replicas", 0)) - len(rollout.pods), 0)
    return unmade + sum(map(_is_crowded_out, rollout.pods))


def _is_crowded_out(pod: Object) -> bool:
    """Whether a pod has no node because of what others take."""
    message = _why_without_node(pod)
    return _EXCLUSIVE in message or any(word in message for word in _FULL)


def _would_find_room(pod: Object, nearby: Sequence[Object]) -> bool:
    """Whether it has no node for want of what old pods have, which were where it may be."""
    message = _why_without_node(pod)
    if _EXCLUSIVE in message:
        return True
    ready = any(map(has_ready, nearby))
    closed = _CLOSED.search(message) or (_LOST.search(message) and not ready)
    return bool(nearby) and _is_crowded_out(pod) and not closed


def _why_without_node(pod: Object) -> str:
    """What the scheduler says; empty if it has found one, or has not looked yet."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""


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


def _exceeds_quota(rollout: Rollout, template: Object, nearby: Iterable[Object]) -> bool:
    """Whether it is not made because of a quota, which may count limits, too."""
    refusal = refusal_of_pods(rollout.current or {}) or ""
    return "exceeded quota" in refusal and any(
        _asks_no_more(_resources(template, "limits"), _resources(old["spec"]["template"], "limits"))
        for old in nearby
    )


def _asks_no_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return all(
        (size := quantity(asked)) is not None
        and (had := quantity(old.get(name, 0))) is not None
        and size <= had
        for name, asked in new.items()
    )


def _requests(template: Object) -> Mapping[str, Any]:
    """What a pod is to have for itself: as much as it may use, unless it says less."""
    return {**_resources(template, "limits"), **_resources(template, "requests")}


def _resources(template: Object, what: str) -> Mapping[str, Any]:
    (container,) = template["spec"]["containers"][:1]
    found: Mapping[str, Any] = container.get("resources", {}).get(what, {})
    return found


def _fits_beside(new: Object, old: Object) -> bool:
    """Whether each node that is right for the old pod is right for the new one."""
    held = [*_demands(old)]
    tolerated = new["spec"].get("tolerations", ())
    return all(demand in held for demand in _demands(new)) and all(
        each in tolerated for each in old["spec"].get("tolerations", ())
    )


def _demands(template: Object) -> Iterator[Any]:
    """What keeps a pod from nodes; what it would only like keeps it from none."""
    spec = template["spec"]
    yield from spec.get("nodeSelector", {}).items()
    for kind, terms in spec.get("affinity", {}).items():
        if required := terms.get("requiredDuringSchedulingIgnoredDuringExecution"):
            yield kind, required
    for spread in spec.get("topologySpreadConstraints", ()):
        if spread.get("whenUnsatisfiable") != "ScheduleAnyway":
            yield spread
