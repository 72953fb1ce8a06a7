"""The ReplicaSet controller: as many pods as asked for, of one template. One sync is one step."""

from typing import Any

from tests.switch.objects import Change, Objects, controlled_by

from homeserver_operator.api.world import Object, ObjectKey


class Queue:
    """Names to look at, each once, in the order in which they came."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self.names.setdefault(name)


class ReplicaSetController(Queue):
    """Makes as many pods as a ReplicaSet asks for, and counts them."""

    def notice(self, change: Change) -> None:
        if change.key.kind == "ReplicaSet":
            self.add(change.key.name)
        elif change.key.kind == "Pod":
            pod = change.after or change.before
            assert pod is not None
            for owner in pod["metadata"].get("ownerReferences", ()):
                if owner["kind"] == "ReplicaSet":
                    self.add(owner["name"])

    def sync(self, objects: Objects, name: str) -> None:
        self.names.pop(name, None)
        found = objects.live.get(ObjectKey("ReplicaSet", name))
        if found is None:
            return
        active = _active_pods(objects, found)
        missing = found["spec"]["replicas"] - len(active)
        for _ in range(missing):
            objects.put(_pod(objects, found))
        for pod in sorted(active, key=_first_to_go)[: max(-missing, 0)]:
            objects.delete(ObjectKey("Pod", pod["metadata"]["name"]))
        pods = _active_pods(objects, found)
        ready = sum(map(is_ready, pods))
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": found["metadata"]["generation"],
        }
        objects.put({**found, "status": status})


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def is_leaving(item: Object) -> bool:
    return "deletionTimestamp" in item["metadata"]


def _active_pods(objects: Objects, replica_set: Object) -> list[Object]:
    return [pod for pod in objects.controlled("Pod", replica_set) if not is_leaving(pod)]


def _first_to_go(pod: Object) -> tuple[bool, bool, bool, int]:
    """Without a node, not running, not ready, then the newest."""
    running = pod.get("status", {}).get("phase") == "Running"
    age = int(pod["metadata"]["uid"].rpartition("-")[2])
    return ("nodeName" in pod["spec"], running, is_ready(pod), -age)


def _pod(objects: Objects, replica_set: Object) -> dict[str, Any]:
    template = replica_set["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{replica_set['metadata']['name']}-{objects.version:05}",
            "namespace": replica_set["metadata"].get("namespace"),
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": controlled_by(replica_set),
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }
