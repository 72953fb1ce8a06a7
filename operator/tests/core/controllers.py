"""What Kubernetes' controllers, kubelets and the launchers do to Deployments between two looks.

Everything goes as far as it can at once: new pods start, wait for their fences or get ready, and
old ones go where the Deployment controller takes them away. What happens in between, and in which
order, is the simulator's subject (tests/switch).
"""

import itertools
import json
from collections.abc import Mapping
from typing import Any

from tests.core.fencing import conflict, epochs_of, is_ready, record, superseding

from homeserver_operator.api.canonical import digest
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.fences import Mark

HASH = "pod-template-hash"

Live = dict[ObjectKey, dict[str, Any]]


class Controllers:
    """The ReplicaSets of one namespace, and what was ever recorded of its fences."""

    def __init__(self) -> None:
        self.replica_sets: dict[str, dict[str, Any]] = {}
        self.recorded: dict[str, Mark] = {}
        self.starts = True
        """Whether new pods get warm."""
        self.enters = True
        """Whether whoever waits gets its fences and is ready."""
        self._complete: dict[str, str] = {}
        self._made = itertools.count(1)

    def settle(self, live: Live) -> None:
        """As far as everything gets without the operator."""
        deployments = [key for key in live if key.kind == "Deployment"]
        for found in self.replica_sets.values():
            self._trim(found, live)
        for key in deployments:
            self._start(live[key], live)
        # Whoever gets in or goes may be whom another one waits for.
        for _ in range(3):
            self._enter(live)
            for key in deployments:
                self._roll(live[key], live)
        for key in deployments:
            self._tell(live[key], live)

    def scale(self, key: ObjectKey, replicas: int, live: Live) -> None:
        """Somebody scales a ReplicaSet: pods that are too many go at once."""
        self.replica_sets[key.name]["spec"]["replicas"] = replicas
        self.replica_sets[key.name]["metadata"]["resourceVersion"] = f"rs{next(self._made)}"
        self._trim(self.replica_sets[key.name], live)

    def collect(self, live: Live) -> None:
        """The garbage collector: what has lost its owner goes."""
        owners = {item["metadata"]["uid"] for item in live.values() if item["kind"] == "Deployment"}
        for name, found in list(self.replica_sets.items()):
            if _owner(found) not in owners:
                found["spec"]["replicas"] = 0
                self._trim(found, live)
                del self.replica_sets[name]

    def states(self, live: Live) -> dict[str, dict[str, Any]]:
        """What the launchers of Synapse's pods answer to GET /state."""
        return {
            pod["metadata"]["name"]: self._state(pod)
            for pod in live.values()
            if pod["kind"] == "Pod" and epochs_of(pod)
        }

    def _state(self, pod: Object) -> dict[str, Any]:
        epochs = epochs_of(pod)
        held = epochs if is_ready(pod) else {}
        later = {} if held else superseding(pod, self.recorded)
        known = {fence: self.recorded[fence].epoch for fence in epochs if fence in self.recorded}
        fence = min(later, default=None)
        return {
            "phase": "serving" if held else "superseded" if later else "warming",
            "fences": held, "recorded": known,
            "superseded_by": {"fence": fence, "epoch": later[fence]} if fence else None,
        }  # fmt: skip

    def sets_of(self, deployment: Object) -> list[dict[str, Any]]:
        uid = deployment["metadata"]["uid"]
        return [found for found in self.replica_sets.values() if _owner(found) == uid]

    def surge(self, key: ObjectKey, live: Live) -> None:
        """A Deployment's new pods are made beside the old ones, and have not got warm yet."""
        before = set(live)
        self._start(live[key], live)
        for fresh in set(live) - before:
            live[fresh]["status"]["containerStatuses"][0]["started"] = False

    def _start(self, deployment: dict[str, Any], live: Live) -> None:
        current = self._current(deployment)
        current["spec"]["replicas"] = deployment["spec"]["replicas"]
        if deployment["spec"].get("strategy", {}).get("type") == "Recreate":
            self._end_others(deployment, current, live)
        self._trim(current, live)
        for _ in range(current["spec"]["replicas"] - len(_pods(current, live))):
            pod = self._pod(deployment, current, live)
            live[ObjectKey("Pod", pod["metadata"]["name"])] = pod

    def _current(self, deployment: Object) -> dict[str, Any]:
        template = deployment["spec"]["template"]
        for found in self.sets_of(deployment):
            if _without_hash(found["spec"]["template"]) == template:
                return found
        mark = digest(template)
        fresh = json.loads(json.dumps(template))
        fresh["metadata"]["labels"][HASH] = mark
        name = f"{deployment['metadata']['name']}-{mark}"
        number = next(self._made)
        self.replica_sets[name] = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name, "uid": f"rs-{number}", "resourceVersion": f"rs{number}",
                "creationTimestamp": f"2026-01-01T00:00:{number:06}Z",
                "labels": fresh["metadata"]["labels"],
                "annotations": dict(deployment["metadata"].get("annotations", {})),
                "ownerReferences": [_reference(deployment)],
            },
            "spec": {"replicas": 0, "template": fresh},
            "status": {"replicas": 0},
        }  # fmt: skip
        return self.replica_sets[name]

    def _pod(self, deployment: Object, replica_set: Object, live: Live) -> dict[str, Any]:
        name = next(
            name
            for index in itertools.count()
            if ObjectKey("Pod", name := f"{deployment['metadata']['name']}-pod{index}") not in live
        )
        template = json.loads(json.dumps(replica_set["spec"]["template"]))
        number = next(self._made)
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"], "name": name, "uid": f"pod-{number}",
                "resourceVersion": f"pod{number}", "ownerReferences": [_reference(replica_set)],
            },
            "spec": template["spec"],
            "status": {"phase": "Running", "conditions": [],
                       "containerStatuses": [{"started": self.starts, "state": {"running": {}}}]},
        }  # fmt: skip

    def _enter(self, live: Live) -> None:
        for pod in [item for item in live.values() if item["kind"] == "Pod"]:
            if not self.enters or is_ready(pod) or superseding(pod, self.recorded):
                continue
            if any(conflict(pod, other, live) for other in live.values() if is_ready(other)):
                continue
            pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
            record(pod, self.recorded)

    def _roll(self, deployment: dict[str, Any], live: Live) -> None:
        current = self._current(deployment)
        ready = sum(is_ready(pod) for pod in _pods(current, live))
        if ready >= deployment["spec"]["replicas"]:
            self._end_others(deployment, current, live)

    def _end_others(self, deployment: Object, current: Object, live: Live) -> None:
        for found in self.sets_of(deployment):
            if found is not current:
                found["spec"]["replicas"] = 0
                self._trim(found, live)

    def _trim(self, replica_set: dict[str, Any], live: Live) -> None:
        pods = _pods(replica_set, live)
        for pod in pods[replica_set["spec"]["replicas"] :]:
            del live[ObjectKey("Pod", pod["metadata"]["name"])]
        replica_set["status"] = {"replicas": min(len(pods), replica_set["spec"]["replicas"])}

    def _tell(self, deployment: dict[str, Any], live: Live) -> None:
        current = _pods(self._current(deployment), live)
        every = [pod for found in self.sets_of(deployment) for pod in _pods(found, live)]
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(every), "updatedReplicas": len(current),
            "readyReplicas": sum(is_ready(pod) for pod in every),
            "conditions": [self._progress(deployment, current, every)],
        }  # fmt: skip

    def _progress(
        self, deployment: Object, current: list[dict[str, Any]], every: list[dict[str, Any]]
    ) -> dict[str, str]:
        """What was complete once stays so, whoever fails later, until there is another template."""
        uid, made = deployment["metadata"]["uid"], self._current(deployment)["metadata"]["uid"]
        ready = sum(map(is_ready, current))
        if len(every) == len(current) and ready >= deployment["spec"]["replicas"]:
            self._complete[uid] = made
        elif self._complete.get(uid) != made:
            self._complete.pop(uid, None)
        reason = "NewReplicaSetAvailable" if uid in self._complete else "ReplicaSetUpdated"
        return {"type": "Progressing", "status": "True", "reason": reason}


def _pods(replica_set: Object, live: Live) -> list[dict[str, Any]]:
    uid = replica_set["metadata"]["uid"]
    return [item for item in live.values() if item["kind"] == "Pod" and _owner(item) == uid]


def _owner(item: Object) -> str | None:
    references = item["metadata"].get("ownerReferences", ())
    return next((each["uid"] for each in references if each.get("controller")), None)


def _reference(owner: Object) -> Mapping[str, Any]:
    return {
        "apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": True,
    }  # fmt: skip


def _without_hash(template: Object) -> Object:
    labels = {n: v for n, v in template["metadata"]["labels"].items() if n != HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}
