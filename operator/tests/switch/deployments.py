"""The Deployment controller: how many pods there are of each template.

One sync is one step. Only what a rollout depends on: no progress deadline, no pod adoption.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from tests.switch.objects import Change, Objects, controlled_by
from tests.switch.replicasets import Queue

from homeserver_operator.api.world import Object, ObjectKey

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
COMPLETE = "NewReplicaSetAvailable"


class DeploymentController(Queue):
    """Moves pods from one template's ReplicaSet to the next one's."""

    def notice(self, change: Change) -> None:
        if change.key.kind == "Deployment":
            self.add(change.key.name)
        elif change.key.kind in {"ReplicaSet", "Pod"}:
            item = change.after or change.before
            assert item is not None
            labels = item["metadata"].get("labels", {})
            if HASH in labels and (change.key.kind == "ReplicaSet" or change.after is None):
                for owner in item["metadata"].get("ownerReferences", ()):
                    # Of a pod, whose owner is a ReplicaSet, only the Deployment's name counts.
                    self.add(owner["name"].removesuffix(f"-{labels[HASH]}"))

    def sync(self, objects: Objects, name: str) -> None:
        self.names.pop(name, None)
        found = objects.live.get(ObjectKey("Deployment", name))
        if found is not None:
            _Rollout(objects, found).sync()


class _Rollout:
    """One sync of one Deployment: at most one kind of scaling, then the status."""

    def __init__(self, objects: Objects, deployment: Object) -> None:
        self.objects = objects
        self.deployment = deployment
        self.spec = deployment["spec"]
        self.replicas: int = self.spec["replicas"]
        self.sets = objects.controlled("ReplicaSet", deployment)
        matching = [item for item in self.sets if _same_template(item, deployment)]
        self.new: Object | None = matching[0] if matching else None
        self.made = False
        limits = self.spec.get("strategy", {}).get("rollingUpdate") or {}
        self.rolling = self.spec.get("strategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
        surge = resolved(limits.get("maxSurge", "25%"), self.replicas, up=True)
        spare = resolved(limits.get("maxUnavailable", "25%"), self.replicas, up=False)
        if surge == 0 and spare == 0:
            spare = 1
        self.surge = surge if self.rolling else 0
        self.spare = min(spare, self.replicas) if self.rolling else 0

    @property
    def old(self) -> list[Object]:
        new = self.new["metadata"]["uid"] if self.new else None
        return [item for item in self.sets if item["metadata"]["uid"] != new]

    def sync(self) -> None:
        if self.spec.get("paused") or any(
            _note(item, DESIRED) != self.replicas for item in self.sets if _size(item)
        ):
            self._sync_revision()
            self._scale()
        elif self.rolling:
            self._roll()
        else:
            self._recreate()
        self._status()

    # Strategies.

    def _roll(self) -> None:
        self._ensure_new()
        if not self._grow_new() and not self._shrink_old():
            self._clean_up()

    def _recreate(self) -> None:
        active = [item for item in self.old if _size(item)]
        for item in active:
            self._resize(item, 0)
        self._sync_revision()
        if active or any(self._pods_of(item) for item in self.old):
            return
        self._ensure_new()
        if not self._grow_new():
            self._clean_up()

    def _pods_of(self, replica_set: Object) -> list[Object]:
        """Pods that are not over, those that are going included."""
        return self.objects.controlled("Pod", replica_set)

    def _grow_new(self) -> bool:
        assert self.new is not None
        size = _size(self.new)
        if size > self.replicas:
            return self._resize(self.new, self.replicas)
        return self._resize(self.new, self._size_of_new())

    def _size_of_new(self) -> int:
        size = _size(self.new) if self.new else 0
        if not self.rolling:
            return self.replicas
        room = self.replicas + self.surge - sum(map(_size, self.sets))
        return size + max(min(room, self.replicas - size), 0)

    def _shrink_old(self) -> bool:
        assert self.new is not None
        old = [item for item in self.old if _size(item)]
        at_least = self.replicas - self.spare
        unavailable = _size(self.new) - _available(self.new)
        budget = sum(map(_size, self.sets)) - at_least - unavailable
        if not old or budget <= 0:
            return False
        cleaned = 0
        for item in old:
            sick = min(budget - cleaned, _size(item) - _available(item))
            if sick > 0:
                self._resize(item, _size(item) - sick)
                cleaned += sick
        spare = sum(map(_available, self.sets)) - at_least
        shrunk = 0
        for item in self.old:
            fewer = min(_size(item), spare - shrunk)
            if fewer > 0:
                self._resize(item, _size(item) - fewer)
                shrunk += fewer
        return cleaned + shrunk > 0

    # A change of the number of replicas.

    def _scale(self) -> None:
        active = [item for item in self.sets if _size(item)]
        if len(active) <= 1:
            latest = max(self.sets, key=lambda item: _note(item, REVISION), default=None)
            if only := active[0] if active else self.new or latest:
                self._resize(only, self.replicas)
            return
        if self._saturated():
            for item in active:
                if item is not self.new:
                    self._resize(item, 0)
            return
        if self.rolling:
            self._scale_in_proportion(active)

    def _saturated(self) -> bool:
        return (
            self.new is not None
            and _note(self.new, DESIRED) == self.replicas
            and _size(self.new) == self.replicas
            and _available(self.new) == self.replicas
        )

    def _scale_in_proportion(self, active: list[Object]) -> None:
        allowed = self.replicas + self.surge if self.replicas else 0
        change = allowed - sum(map(_size, active))
        ages = {item["metadata"]["name"]: age for age, item in enumerate(self.sets)}
        # Of equal ones the newer grow first and the older shrink first.
        sign = -1 if change > 0 else 1
        active.sort(key=lambda item: (-_size(item), sign * ages[item["metadata"]["name"]]))
        sizes, spent = [], 0
        for item in active:
            part = self._share(item, change, spent)
            sizes.append(_size(item) + part)
            spent += part
        sizes[0] = max(sizes[0] + change - spent, 0)
        for item, size in zip(active, sizes, strict=True):
            self._resize(item, size, annotate=True)

    def _share(self, item: Object, change: int, spent: int) -> int:
        left = change - spent
        if not left:
            return 0
        if not self.replicas:
            fraction = -_size(item)
        else:
            before = _note(item, MOST) or self.deployment.get("status", {}).get("replicas", 0)
            if not before:
                return 0
            share = _size(item) * (self.replicas + self.surge) / before
            # Away from zero at a half, as Go rounds.
            fraction = math.floor(share + 0.5) - _size(item)
        return min(fraction, left) if change > 0 else max(fraction, left)

    # Writes.

    def _ensure_new(self) -> None:
        if self.new is None:
            self.made = True
            made = _replica_set(self.deployment, self._size_of_new())
            notes = self._notes() | {REVISION: str(self._next_revision())}
            self._put_new({**made, "metadata": {**made["metadata"], "annotations": notes}})
        self._sync_revision()

    def _sync_revision(self) -> None:
        """The ReplicaSet in use carries the highest revision, and the Deployment the same."""
        if self.new is None:
            return
        revision = str(max(self._next_revision(), _note(self.new, REVISION)))
        metadata = self.new["metadata"]
        if metadata["annotations"].get(REVISION) != revision:
            notes = {**metadata["annotations"], REVISION: revision}
            self._put_new({**self.new, "metadata": {**metadata, "annotations": notes}})
        metadata = self.deployment["metadata"]
        if metadata.get("annotations", {}).get(REVISION) != revision:
            notes = {**metadata.get("annotations", {}), REVISION: revision}
            self.objects.put({**self.deployment, "metadata": {**metadata, "annotations": notes}})
            self.deployment = self.objects.live[ObjectKey("Deployment", metadata["name"])]

    def _put_new(self, item: Object) -> None:
        self.objects.put(item)
        self._refresh()
        self.new = next(
            one for one in self.sets if one["metadata"]["name"] == item["metadata"]["name"]
        )

    def _next_revision(self) -> int:
        return max((_note(item, REVISION) for item in self.old), default=0) + 1

    def _notes(self) -> dict[str, str]:
        return {DESIRED: str(self.replicas), MOST: str(self.replicas + self.surge)}

    def _resize(self, item: Object, size: int, *, annotate: bool = False) -> bool:
        """Whether its size changed."""
        if size == _size(item) and not annotate:
            return False
        metadata = item["metadata"]
        notes = {**metadata["annotations"], **self._notes()}
        changed = {
            **item,
            "metadata": {**metadata, "annotations": notes},
            "spec": {**item["spec"], "replicas": size},
        }
        self.objects.put(changed)
        self._refresh()
        return size != _size(item)

    def _refresh(self) -> None:
        self.sets = self.objects.controlled("ReplicaSet", self.deployment)
        if self.new:
            name = self.new["metadata"]["name"]
            self.new = next((one for one in self.sets if one["metadata"]["name"] == name), None)

    def _clean_up(self) -> None:
        """Forget the oldest ReplicaSets once the rollout is complete."""
        if not self._complete():
            return
        old = sorted(self.old, key=lambda item: _note(item, REVISION))
        for item in old[: max(len(old) - self.spec.get("revisionHistoryLimit", 10), 0)]:
            status = item.get("status", {})
            seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
            if not _size(item) and not status.get("replicas") and seen:
                self.objects.delete(ObjectKey("ReplicaSet", item["metadata"]["name"]))

    def _complete(self) -> bool:
        status = self._counts()
        wanted = {status[name] for name in ("replicas", "updatedReplicas", "availableReplicas")}
        return wanted == {self.replicas}

    def _counts(self) -> dict[str, int]:
        return {
            "replicas": sum(_count(item, "replicas") for item in self.sets),
            "updatedReplicas": _count(self.new, "replicas") if self.new else 0,
            "readyReplicas": sum(_count(item, "readyReplicas") for item in self.sets),
            "availableReplicas": sum(map(_available, self.sets)),
        }

    def _progress(self, counts: Mapping[str, int]) -> str:
        """What is complete stays so until another ReplicaSet is made, whoever fails meanwhile."""
        conditions = self.deployment.get("status", {}).get("conditions", ())
        told = {item["type"]: item for item in conditions}.get("Progressing", {}).get("reason")
        before = None if self.made else told
        if before == COMPLETE and counts["replicas"] == counts["updatedReplicas"]:
            return COMPLETE
        return COMPLETE if self._complete() else "ReplicaSetUpdated"

    def _status(self) -> None:
        self._refresh()
        counts = self._counts()
        available = counts["availableReplicas"] >= self.replicas - self.spare
        status = {
            **{name: count for name, count in counts.items() if count},
            "unavailableReplicas": max(self.replicas - counts["availableReplicas"], 0),
            "observedGeneration": self.deployment["metadata"]["generation"],
            "conditions": [
                {"type": "Available", "status": str(available)},
                {"type": "Progressing", "status": "True", "reason": self._progress(counts)},
            ],
        }
        key = ObjectKey("Deployment", self.deployment["metadata"]["name"])
        self.objects.put({**self.objects.live[key], "status": status})


def resolved(value: int | str, replicas: int, *, up: bool) -> int:
    """A number of pods, or a percentage of them."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * replicas
    return -(-share // 100) if up else share // 100


def template_hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:9]


def _replica_set(deployment: Object, size: int) -> dict[str, Any]:
    template = deployment["spec"]["template"]
    digest = template_hash(template)
    labels = {**template["metadata"]["labels"], HASH: digest}
    selector = {**deployment["spec"]["selector"]["matchLabels"], HASH: digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{digest}",
            "namespace": deployment["metadata"].get("namespace"),
            "labels": labels,
            "annotations": {},
            "ownerReferences": controlled_by(deployment),
        },
        "spec": {
            "replicas": size,
            "selector": {"matchLabels": selector},
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
        },
    }


def template_of(replica_set: Object) -> dict[str, Any]:
    """The template from which a ReplicaSet was made."""
    template = replica_set["spec"]["template"]
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key != HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def _same_template(replica_set: Object, deployment: Object) -> bool:
    return bool(template_of(replica_set) == deployment["spec"]["template"])


def _size(item: Object) -> int:
    return int(item["spec"]["replicas"])


def _count(item: Object, name: str) -> int:
    return int(item.get("status", {}).get(name, 0))


def _available(item: Object) -> int:
    return _count(item, "availableReplicas")


def _note(item: Object, name: str) -> int:
    return int(item["metadata"].get("annotations", {}).get(name, 0))
