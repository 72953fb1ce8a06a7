"""When an old pod stops so that a new one has its room, and when that would be of no use."""

from dataclasses import replace
from typing import Any

import pytest

from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.plan.rollout import Rollout
from homeserver_operator.plan.room import has_no_room

Spec = dict[str, Any]

FULL = "0/3 nodes are available: 3 Insufficient cpu."
MIXED = (
    "0/3 nodes are available: 1 Insufficient memory, 2 node(s) didn't match Pod's node "
    "affinity/selector. preemption: 0/3 nodes are available: 1 No preemption victims found for "
    "incoming pod, 2 Preemption is not helpful for scheduling."
)
QUOTA = 'pods "main" is forbidden: exceeded quota: team, requested: limits.memory=2Gi'
EXCLUSIVE = (
    "0/3 nodes are available: 3 node has pod using PersistentVolumeClaim with the same name and "
    "ReadWriteOncePod access mode."
)
DEAD = "node(s) had untolerated taint {node.kubernetes.io/unreachable: }"


def message(others: str) -> str:
    """What the scheduler says where one node is as said, and the others are full."""
    return f"0/3 nodes are available: 1 {others}, 2 Insufficient cpu."


def uses(what: str, memory: str) -> Spec:
    return {"containers": [{"name": "synapse", "resources": {what: {"memory": memory}}}]}


SSD = {"nodeSelector": {"disk": "ssd"}}
TOLERANT = {"tolerations": [{"key": "matrix", "operator": "Exists"}]}
APART = {"topologySpreadConstraints": [
    {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}  # fmt: skip
RATHER_APART = {"topologySpreadConstraints": [
    {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]}  # fmt: skip
REQUIRED: Spec = {"affinity": {"nodeAffinity": {
    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}}  # fmt: skip
PREFERRED: Spec = {"affinity": {"nodeAffinity": {
    "preferredDuringSchedulingIgnoredDuringExecution": []}}}  # fmt: skip

SERVES = {"readyReplicas": 1}

ASKED: dict[str, tuple[Spec, Spec, str, bool]] = {
    "the same pod, full nodes": ({}, {}, FULL, True),
    "the same pod on some sort of nodes": (SSD, SSD, MIXED, True),
    "another sort of nodes than before": ({}, SSD, MIXED, False),
    "no sort of nodes any more": (SSD, {}, FULL, True),
    "only nodes apart from others": ({}, APART, FULL, False),
    "nodes apart from others, as before": (APART, APART, FULL, True),
    "rather nodes apart from others": ({}, RATHER_APART, FULL, True),
    "nodes by an affinity": ({}, REQUIRED, FULL, False),
    "rather nodes by an affinity": ({}, PREFERRED, FULL, True),
    "a taint is not tolerated any more": (TOLERANT, {}, FULL, False),
    "one more taint is tolerated": ({}, TOLERANT, FULL, True),
    "more memory": (uses("requests", "1Gi"), uses("requests", "2Gi"), FULL, False),
    "less memory": (uses("requests", "2Gi"), uses("requests", "1Gi"), FULL, True),
    "more memory by a limit alone": (uses("limits", "1Gi"), uses("limits", "2Gi"), FULL, False),
    "the node of a volume that one pod may have": ({}, SSD, EXCLUSIVE, True),
}  # fmt: skip

SAID = {
    "the control plane takes none":
        ("node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }", True),
    "nodes of others' take none": ("node(s) had untolerated taint {gpu: true}", True),
    "a node is cordoned": ("node(s) were unschedulable", False),
    "a node has too little memory":
        ("node(s) had untolerated taint {node.kubernetes.io/memory-pressure: }", False),
    "a node is going":
        ("node(s) had untolerated taint {ToBeDeletedByClusterAutoscaler: 17}", False),
    "a node is dead, on which the old pod cannot be ready": (DEAD, True),
}  # fmt: skip


def rollout(
    old: Spec, new: Spec, message: str, *, quota: str = "", status: Spec | None = None
) -> Rollout:
    """A process with an old pod and a new one that has no node, or is not even made."""
    deployment = workload("Deployment", "main", new)
    refused = {"type": "ReplicaFailure", "status": "True", "message": quota}
    unscheduled = {"type": "PodScheduled", "status": "False", "message": message}
    current = {**workload("ReplicaSet", "main-2", new), "status": {"conditions": [refused]}}
    pod = {"metadata": {"name": "main-2-a"}, "spec": {}, "status": {"conditions": [unscheduled]}}
    before = {
        **workload("ReplicaSet", "main-1", old),
        "status": SERVES if status is None else status,
    }
    return Rollout("main", deployment, deployment, current, (before,), (pod,) if message else ())


def workload(kind: str, name: str, spec: Spec) -> Object:
    whole = {"containers": [{"name": "synapse"}], **spec}
    return {
        "kind": kind,
        "metadata": {"name": name, "uid": name},
        "spec": {"replicas": 1, "template": {"spec": whole}},
    }


def stops(found: Rollout) -> bool:
    return has_no_room(found, (), World(children={}, references={}))


@pytest.mark.parametrize("title", ASKED)
def test_the_old_pod_stops_if_its_node_is_right_for_one_that_asks_for(title: str) -> None:
    old, new, said, expected = ASKED[title]
    assert stops(rollout(old, new, said)) is expected


@pytest.mark.parametrize("title", SAID)
def test_the_old_pod_stops_where_nodes_are_full_and(title: str) -> None:
    """Its own node must not be one of those that are closed."""
    others, expected = SAID[title]
    assert stops(rollout(SSD, SSD, message(others))) is expected


def test_an_old_pod_that_is_not_ready_may_be_on_a_dead_node() -> None:
    assert not stops(rollout({}, {}, message(DEAD), status={}))


LIMITS: dict[str, tuple[Spec, Spec, bool]] = {
    "the same": (uses("limits", "1Gi"), uses("limits", "1Gi"), True),
    "more": (uses("limits", "1Gi"), uses("limits", "2Gi"), False),
    "the same, elsewhere": ({}, SSD, False),
}


@pytest.mark.parametrize("asked", LIMITS)
def test_the_old_pod_stops_for_a_quota_if_the_new_one_may_use(asked: str) -> None:
    """Else the quota would still be exceeded without it."""
    old, new, expected = LIMITS[asked]
    requests = {"requests": {"memory": "1Gi"}}
    old, new = (_with(spec, requests) for spec in (old, new))
    assert stops(rollout(old, new, "", quota=QUOTA)) is expected


def _with(spec: Spec, resources: Spec) -> Spec:
    """The same pod, that asks for no more than before."""
    (container,) = spec.get("containers", [{"name": "synapse"}])
    whole = {**container, "resources": {**container.get("resources", {}), **resources}}
    return {**spec, "containers": [whole]}


def test_limits_alone_keep_nobody_from_a_node() -> None:
    requests = {"requests": {"memory": "1Gi"}}
    old, new = (_with(uses("limits", memory), requests) for memory in ("1Gi", "2Gi"))
    assert stops(rollout(old, new, FULL))


def test_the_old_pod_stops_for_one_that_moves_with_the_volume_to_another_sort_of_nodes() -> None:
    """That one has found room already, and waits there for what only one node may have."""
    claim = {"volumes": [{"name": "media", "persistentVolumeClaim": {"claimName": "media"}}]}
    found = rollout(claim, {**claim, **SSD}, "")
    there = {"spec": {**claim, "nodeName": "new"}, "status": {"phase": "Pending"}}
    owner = {"metadata": {"ownerReferences": [{"uid": "main-1"}]}, "spec": {"nodeName": "old"}}
    volume = {"spec": {"accessModes": ["ReadWriteOnce"]}}
    children: dict[ObjectKey, Any] = {
        ObjectKey("PersistentVolumeClaim", "media"): volume,
        ObjectKey("Pod", "main-1-a"): owner,
    }
    moved = replace(found, pods=({**there, "metadata": {"name": "main-2-a"}},))
    assert has_no_room(moved, (), World(children=children, references={}))
