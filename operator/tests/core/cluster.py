"""A cluster in memory: server-side apply, the API server's defaults, and pods that come up.

Only as much of Kubernetes as plans touch: our field manager and foreigners who edit, lists merged
by their keys, atomic lists and maps replaced, immutable things refused. One field has several
managers: a Deployment's number of replicas.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tests.core.controllers import Controllers
from tests.core.defaulting import canonical_quantities, with_defaults

from homeserver_operator.api.actions import Amend, Apply, Delete, Generate, Plan, Scale
from homeserver_operator.api.names import (
    API_VERSION,
    FIELD_MANAGER,
    PROCESS_LABEL,
    ROLE_LABEL,
    SCALE_MANAGER,
    STOPPED_FROM_ANNOTATION,
)
from homeserver_operator.api.quantities import quantity
from homeserver_operator.api.world import Object, ObjectKey, Rewrite, World
from homeserver_operator.plan.difference import rewrite_of

_KEYED: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",), "env": ("name",), "volumes": ("name",),
    "volumeMounts": ("mountPath",), "imagePullSecrets": ("name",), "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}  # fmt: skip
_ATOMIC = {"nodeSelector", "selector", "matchLabels", "labelSelector"}


class RefusedError(Exception):
    """The API server says no."""


class Writer(NamedTuple):
    """Who owns a Deployment's number of replicas, and by what: an apply, or else its scale."""

    manager: str
    operation: str = "Apply"


class FakeCluster:
    """One HomeServer's namespace."""

    def __init__(self, references: Mapping[ObjectKey, Mapping[str, bytes] | None]) -> None:
        self.live: dict[ObjectKey, dict[str, Any]] = {}
        self.references = dict(references)
        self._ours: dict[ObjectKey, Any] = {}
        self._scalers: dict[ObjectKey, set[Writer]] = {}
        self._made = 0
        self.controllers = Controllers()
        self.webhook: Callable[[dict[str, Any]], None] = lambda _object: None
        """Changes every object that is written, as an admission webhook may."""
        self.rewrites: dict[ObjectKey, Rewrite] = {}

    @property
    def world(self) -> World:
        # Copied, so that a core that changes what it was given would be found out.
        children = {key: copied(live) for key, live in self.live.items()}
        for key, writers in self._scalers.items():
            template = self._ours[key]["spec"]["template"] if key in self._ours else {}
            template_fields = {"f:template": managed(template)}
            children[key]["metadata"]["managedFields"] = record(writers, template_fields)
        return World(
            children=children,
            references=dict(self.references),
            states=self.controllers.states(self.live),
            replica_sets=tuple(map(copied, self.controllers.replica_sets.values())),
            rewrites=dict(self.rewrites),
        )

    def execute(self, plan: Plan) -> None:
        for apply in plan.applies:
            self._apply(apply)
        for order in plan.scales:
            self._scale(order)
        for delete in plan.deletes:
            self._delete(delete)
        for amend in plan.amends:
            self._amend(amend)

    def create(self, order: Generate) -> None:
        key = ObjectKey("Secret", order.manifest["metadata"]["name"])
        if self.references.get(key) is not None:
            raise RefusedError(f"{key} exists")
        self.references[key] = {name: b"made-" + kind.encode() for name, kind in order.kinds}
        self._store(key, copied(order.manifest))

    def forget(self, key: ObjectKey) -> None:
        """Somebody deletes an object."""
        del self.live[key]
        self._ours.pop(key, None)
        self._scalers.pop(key, None)
        self.controllers.collect(self.live)

    def scale(self, name: str, replicas: int, *, manager: str = "kubectl") -> None:
        """Somebody uses a Deployment's scale subresource."""
        key = ObjectKey("Deployment", name)
        if self.live[key]["spec"]["replicas"] != replicas:
            self._scaled(key, replicas, Writer(manager, "Update"))
            self._count(key, replicas)

    def _scaled(self, key: ObjectKey, replicas: int, writer: Writer) -> None:
        """Who owns the number after a scale: nobody if nobody did, and nobody owns none at all.

        So it was measured (tests.shell.test_scaling_against_apiserver).
        """
        owned = replicas and self._scalers.get(key)
        self._scalers[key] = {writer} if owned else set()

    def _count(self, key: ObjectKey, replicas: int) -> None:
        live = self.live[key]
        live["metadata"]["generation"] += live["spec"]["replicas"] != replicas
        live["spec"]["replicas"] = replicas
        self._touch(key)

    def _apply(self, order: Apply) -> None:
        key, live = order.key, self.live.get(order.key)
        if (live["metadata"]["uid"] if live else None) != order.uid:
            raise RefusedError(f"{key}: decided on another object")
        wanted = canonical_quantities(copied(order.manifest))
        version = wanted["metadata"].pop("resourceVersion", None)
        if version is not None and live and version != live["metadata"]["resourceVersion"]:
            raise RefusedError(f"{key}: decided on another version")
        others = self._own_replicas(key, wanted, order.manager)
        if order.manager != FIELD_MANAGER:
            assert live is not None
            self._note(key, None)
            self._count(key, wanted.get("spec", live["spec"])["replicas"])
            return
        before = copied(self._ours.get(key))
        if before and others and "replicas" not in wanted["spec"]:
            before["spec"].pop("replicas", None)
        merged = _merge(before, wanted, live or {})
        fresh = with_defaults(merged)
        self.webhook(fresh)
        if live is not None:
            _check_immutable(key, live, fresh)
            if live.get("spec") != fresh.get("spec"):
                fresh["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
        self._ours[key] = wanted
        self._store(key, fresh)
        # As the shell remembers it (homeserver_operator.rewrites).
        self.rewrites.pop(key, None)
        if order.uid and (found := rewrite_of(order.manifest, fresh)):
            self.rewrites[key] = found

    def _own_replicas(self, key: ObjectKey, wanted: Object, manager: str) -> bool:
        """Who owns the number after an apply; whether anybody does who is not the applier."""
        if key.kind != "Deployment":
            return False
        owners = self._scalers.setdefault(key, set())
        replicas = wanted.get("spec", {}).get("replicas")
        if replicas is None:
            # Whoever was overruled before has lost it already: leaving out is no loss then.
            lost = Writer(manager) not in owners
            owners.discard(Writer(manager))
            return bool(owners) or lost
        live = self.live.get(key)
        if live and live["spec"]["replicas"] != replicas:
            owners.clear()
        owners.add(Writer(manager))
        return bool(owners - {Writer(manager)})

    def _note(self, key: ObjectKey, stopped_from: int | None) -> None:
        """The one annotation of the scale manager's; without it in an apply it goes."""
        metadata = self.live[key]["metadata"]
        annotations = {**metadata.get("annotations", {})}
        annotations.pop(STOPPED_FROM_ANNOTATION, None)
        if stopped_from is not None:
            annotations[STOPPED_FROM_ANNOTATION] = str(stopped_from)
        metadata["annotations"] = annotations

    def _touch(self, key: ObjectKey) -> None:
        self._made += 1
        self.live[key]["metadata"]["resourceVersion"] = str(self._made)

    def _store(self, key: ObjectKey, fresh: dict[str, Any]) -> None:
        self._made += 1
        fresh["metadata"].setdefault("uid", f"child-{self._made}")
        fresh["metadata"].setdefault("generation", 1)
        self.live[key] = fresh
        self._touch(key)

    def _delete(self, order: Delete) -> None:
        if self.live[order.key]["metadata"]["uid"] != order.uid:
            raise RefusedError(f"{order.key}: decided on another object")
        self.forget(order.key)
        self.references.pop(order.key, None)

    def _amend(self, order: Amend) -> None:
        assert order.metadata.keys() <= {"ownerReferences", "annotations"}, "nobody wipes records"
        metadata = self.live[order.key]["metadata"]
        if metadata["uid"] != order.uid:
            raise RefusedError(f"{order.key}: decided on another object")
        fresh = copied(order.metadata)
        annotations = {**metadata.get("annotations", {}), **fresh.pop("annotations", {})}
        metadata.update(fresh, annotations=annotations)

    def _scale(self, order: Scale) -> None:
        if order.key.kind == "ReplicaSet":
            live: Any = self.controllers.replica_sets[order.key.name]
        else:
            live = self.live[order.key]
        if (live["metadata"]["uid"], live["metadata"]["resourceVersion"]) != (
            order.uid,
            order.version,
        ):
            raise RefusedError(f"{order.key}: decided on another version")
        if order.key.kind == "ReplicaSet":
            self.controllers.scale(order.key, order.replicas, self.live)
        else:
            self._own_replicas(order.key, {"spec": {"replicas": order.replicas}}, SCALE_MANAGER)
            self._note(order.key, order.stopped_from)
            self._count(order.key, order.replicas)

    def settle(self) -> None:
        """Controllers, kubelets and launchers do their work."""
        self.controllers.settle(self.live)


def processes(world: World) -> set[str]:
    """Names of the Synapse processes that have a Deployment."""
    return {
        live["metadata"]["labels"][PROCESS_LABEL]
        for live in world.of_kind("Deployment").values()
        if live["metadata"]["labels"][ROLE_LABEL] in {"main", "worker"}
    }


def managed(value: Any, field: str = "") -> dict[str, Any]:
    """A value of ours as a set of fields, as server-side apply records it."""
    if isinstance(value, Mapping) and field not in _ATOMIC:
        return {f"f:{name}": managed(inner, name) for name, inner in value.items()}
    if isinstance(value, list) and (keys := _key(field, value)):
        return {
            f"k:{json.dumps({key: item[key] for key in keys if key in item})}": {
                ".": {},
                **managed(item),
            }
            for item in value
        }
    return {}


def record(writers: Iterable[Writer], applied: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who owns what of a Deployment: `writers` its number of replicas, we what we `applied`."""
    ours = Writer(FIELD_MANAGER)
    fields: dict[Writer, dict[str, Any]] = {
        writer: {"f:replicas": {}} for writer in sorted(writers)
    }
    fields[ours] = {**fields.get(ours, {}), **applied}
    return [
        {
            "manager": writer.manager,
            "operation": writer.operation,
            **({"subresource": "scale"} if writer.operation == "Update" else {}),
            "fieldsV1": {"f:spec": its},
        }
        for writer, its in fields.items()
    ]


def owners_of_replicas(deployment: Object) -> set[str]:
    """The field managers of a Deployment's number of replicas."""
    return {
        entry["manager"]
        for entry in deployment["metadata"].get("managedFields", ())
        if "f:replicas" in entry["fieldsV1"]["f:spec"]
    }


def owner(uid: str) -> dict[str, Any]:
    """A controller's reference."""
    return {"apiVersion": API_VERSION, "kind": "HomeServer", "name": "other", "uid": uid,
            "controller": True}  # fmt: skip


def copied(value: Any) -> Any:
    """A copy of a JSON value, several times faster than deepcopy's."""
    return json.loads(json.dumps(value))


def _merge(ours: Any, wanted: Any, live: Any, field: str = "") -> Any:
    """What server-side apply makes of it: our old fields go, our new ones hold, others' stay."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping) and field not in _ATOMIC:
        before = ours if isinstance(ours, Mapping) else {}
        kept = {name: value for name, value in live.items() if name in wanted or name not in before}
        return kept | {
            name: _merge(before.get(name), value, live.get(name), name)
            for name, value in wanted.items()
        }
    if isinstance(wanted, list) and isinstance(live, list) and (key := _key(field, wanted)):
        return _merge_list(ours if isinstance(ours, list) else [], wanted, live, key)
    return copied(wanted)


def _key(field: str, items: list[Any]) -> tuple[str, ...] | None:
    if field == "ports" and items:
        return ("containerPort",) if "containerPort" in items[0] else ("port",)
    return _KEYED.get(field)


def _merge_list(
    ours: list[Any], wanted: list[Any], live: list[Any], key: tuple[str, ...]
) -> list[Any]:
    def by_key(items: list[Any]) -> dict[tuple[Any, ...], Any]:
        return {tuple(item.get(name) for name in key): item for item in items}

    before, there, now = by_key(ours), by_key(live), by_key(wanted)
    merged = {name: _merge(before.get(name), item, there.get(name)) for name, item in now.items()}
    foreign = {name: item for name, item in there.items() if name not in before}
    return list((merged | {n: item for n, item in foreign.items() if n not in merged}).values())


def _storage(claim: Object) -> Any:
    return claim["spec"]["resources"]["requests"]["storage"]


def _check_immutable(key: ObjectKey, live: Object, fresh: Object) -> None:
    fixed: list[tuple[str, ...]] = [("spec",)] if key.kind == "Pod" else []
    if live.get("immutable"):
        fixed = [("data",), ("binaryData",)]
    if key.kind == "Deployment":
        fixed = [("spec", "selector")]
    if key.kind == "PersistentVolumeClaim":
        fixed = [("spec", "accessModes"), ("spec", "storageClassName")]
        was, wanted = (quantity(_storage(claim)) for claim in (live, fresh))
        if was and wanted and wanted < was:
            raise RefusedError(f"{key}: a claim cannot shrink")
    for path in fixed:
        before: Any = live
        after: Any = fresh
        for step in path:
            before, after = before.get(step), after.get(step)
        if before != after:
            raise RefusedError(f"{key}: {'.'.join(path)} is immutable")
