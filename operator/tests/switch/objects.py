"""The API server as controllers and the operator see it: objects, versions, refusals.

Stored objects are never changed in place, so that whoever read one keeps what it read, and a copy
of the whole store is cheap.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Self

from tests.core.cluster import FakeCluster, RefusedError, Writer, record

from homeserver_operator.api.actions import Amend, Apply, Delete
from homeserver_operator.api.kinds import MANAGED_KINDS
from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    SCALE_MANAGER,
)
from homeserver_operator.api.world import Object, ObjectKey, World

_MANAGED = frozenset(kind.kind for kind in MANAGED_KINDS)


class ConflictError(RefusedError):
    """Decided on an object that is not there any more, or another: look again."""


class Change(NamedTuple):
    """One object before and after; None where there is none."""

    key: ObjectKey
    before: Object | None
    after: Object | None


class Objects(FakeCluster):
    """All objects of one namespace. `changes` grows until somebody takes them."""

    def __init__(self, homeserver: Object, references: Any) -> None:
        super().__init__(references)
        self.homeserver: dict[str, Any] = dict(homeserver)
        self.changes: list[Change] = []

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__ = dict(self.__dict__)
        for name in ("live", "references", "_ours", "changes"):
            twin.__dict__[name] = type(self.__dict__[name])(self.__dict__[name])
        twin._scalers = {key: set(value) for key, value in self._scalers.items()}
        return twin

    # What is read.

    @property
    def version(self) -> int:
        """Rises with every write."""
        return self._made

    def of_kind(self, kind: str) -> list[Object]:
        return [item for key, item in self.live.items() if key.kind == kind]

    def controlled(self, kind: str, owner: Object) -> list[Object]:
        """Objects of a kind whose controller is `owner`, oldest first."""
        uid = owner["metadata"]["uid"]
        return [item for item in self.of_kind(kind) if controller_uid(item) == uid]

    @property
    def children(self) -> dict[ObjectKey, Object]:
        """What the operator lists: its own kinds, by its labels."""
        name = self.homeserver["metadata"]["name"]
        return {
            key: self._with_managers(key, item)
            for key, item in self.live.items()
            if key.kind in _MANAGED and _ours(item, name)
        }

    @property
    def replica_sets(self) -> tuple[Object, ...]:
        name = self.homeserver["metadata"]["name"]
        return tuple(item for item in self.of_kind("ReplicaSet") if _ours(item, name))

    @property
    def world(self) -> World:
        return World(
            children=self.children,
            references=dict(self.references),
            replica_sets=self.replica_sets,
        )

    def _with_managers(self, key: ObjectKey, item: Object) -> Object:
        if key.kind != "Deployment":
            return item
        # Who owns what of the template decides nothing in a switch.
        fields = record(self._scalers.get(key, ()), {}) if key in self._ours else []
        return {**item, "metadata": {**item["metadata"], "managedFields": fields}}

    # What the operator writes.

    def write(self, step: Any) -> None:
        """One step of a plan; ConflictError if the world has moved, RefusedError if it is wrong."""
        live = self.live.get(step.key)
        if isinstance(step, Delete):
            if live is not None:
                self._check(live, step.key, step.uid, None)
                self.delete(step.key)
            return
        if isinstance(step, Apply):
            version = step.manifest["metadata"].get("resourceVersion")
            if step.uid is not None:
                self._check(live, step.key, step.uid, version)
            elif live is not None:
                # Server-side apply has no "only create".
                step = replace(step, uid=live["metadata"]["uid"])
            self._thaw(step.key)
            self._apply(step)
            return
        self._check(live, step.key, step.uid, step.version)
        self._thaw(step.key)
        if isinstance(step, Amend):
            self._amend(step)
            self._touch(step.key)
        else:
            live = self.live[step.key]
            if step.key.kind == "Deployment":
                self._own_replicas(step.key, {"spec": {"replicas": step.replicas}}, SCALE_MANAGER)
                self._note(step.key, step.stopped_from)
                live = self.live[step.key]
            self.put({**live, "spec": {**live["spec"], "replicas": step.replicas}})

    @staticmethod
    def _check(live: Object | None, key: ObjectKey, uid: str, version: str | None) -> None:
        if live is None or live["metadata"]["uid"] != uid:
            raise ConflictError(f"{key}: decided on another object")
        if version is not None and live["metadata"]["resourceVersion"] != version:
            raise ConflictError(f"{key}: decided on another version")

    # What everybody else writes.

    def put(self, item: Object) -> None:
        """Store an object whole, as a controller does; the generation follows the spec."""
        key = ObjectKey(item["kind"], item["metadata"]["name"])
        live = self.live.get(key)
        metadata = dict(item["metadata"])
        if live is not None:
            changed = live.get("spec") != item.get("spec")
            metadata["generation"] = live["metadata"]["generation"] + changed
        self._store(key, {**item, "metadata": metadata})

    def scale_object(self, key: ObjectKey, replicas: int, *, manager: str) -> None:
        """The scale subresource of a Deployment or a ReplicaSet."""
        live = self.live[key]
        if live["spec"]["replicas"] == replicas:
            return
        if key.kind == "Deployment":
            self._scaled(key, replicas, Writer(manager, "Update"))
        self.put({**live, "spec": {**live["spec"], "replicas": replicas}})

    def delete(self, key: ObjectKey) -> None:
        """A pod that has a node is first told to go; everything else goes at once."""
        live = self.live.get(key)
        if live is None:
            return
        if key.kind != "Pod" or not live["spec"].get("nodeName"):
            self.forget(key)
        elif "deletionTimestamp" not in live["metadata"]:
            metadata = {**live["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
            self.put({**live, "metadata": metadata})

    def forget(self, key: ObjectKey) -> None:
        before = self.live[key]
        super().forget(key)
        self._made += 1
        self.changes.append(Change(key, before, None))

    def garbage(self) -> Iterator[ObjectKey]:
        """Objects whose owner is gone."""
        living = {item["metadata"]["uid"] for item in self.live.values()}
        living.add(self.homeserver["metadata"]["uid"])
        for key, item in self.live.items():
            owners = item["metadata"].get("ownerReferences")
            orphan = owners and not any(owner["uid"] in living for owner in owners)
            if orphan and "deletionTimestamp" not in item["metadata"]:
                yield key

    # How FakeCluster writes.

    def _thaw(self, key: ObjectKey) -> None:
        """A copy that FakeCluster may change in place, as deep as it does."""
        if live := self.live.get(key):
            thawed = {**live, "metadata": dict(live["metadata"])}
            if "spec" in live:
                thawed["spec"] = dict(live["spec"])
            self.live[key] = thawed

    def _store(self, key: ObjectKey, fresh: dict[str, Any]) -> None:
        before = self.live.get(key)
        if before is not None and _same(before, fresh):
            return
        self._made += 1
        made = {"uid": f"child-{self._made}", "generation": 1}
        metadata = {**made, **fresh["metadata"], "resourceVersion": str(self._made)}
        self.live[key] = {**fresh, "metadata": metadata}
        self.changes.append(Change(key, before, self.live[key]))

    def _touch(self, key: ObjectKey) -> None:
        self._made += 1
        live = self.live[key]
        version = {"resourceVersion": str(self._made)}
        self.live[key] = {**live, "metadata": {**live["metadata"], **version}}
        self.changes.append(Change(key, live, self.live[key]))


def controller_uid(item: Object) -> str | None:
    for owner in item["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return str(owner["uid"])
    return None


def controlled_by(owner: Object) -> list[dict[str, Any]]:
    """The reference of a controller's own to what it makes."""
    metadata = owner["metadata"]
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
    ]


def _ours(item: Object, homeserver: str) -> bool:
    labels = item["metadata"].get("labels", {})
    return bool(
        labels.get(HOMESERVER_LABEL) == homeserver and labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    )


def _same(before: Object, after: Object) -> bool:
    """Whether a write changes nothing but what each write changes."""
    moving = ("resourceVersion", "generation")
    if {**before, "metadata": None} != {**after, "metadata": None}:
        return False
    left, right = (
        {name: value for name, value in item["metadata"].items() if name not in moving}
        for item in (before, after)
    )
    return left == right
