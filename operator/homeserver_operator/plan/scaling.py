"""Hands a Deployment's number of replicas over to whoever scales, and takes it back.

A field that its only owner leaves out of an apply falls to its default: one pod. So a second field
manager of ours takes the number first, in a write of its own; then we leave it out. Everything is
decided on who owns the field now, so an operator may die between any two writes.
"""

from collections.abc import Iterator

from homeserver_operator.api.actions import Apply
from homeserver_operator.api.names import FIELD_MANAGER, SCALE_MANAGER
from homeserver_operator.api.world import Object
from homeserver_operator.plan.owned import record_of


def hand_over(wanted: Object, live: Object) -> Apply | None:
    """The write that must come before an apply which leaves out a number that we alone own.

    Decided on the live number, so it carries the resourceVersion: who scales meanwhile, wins. Never
    on none at all: an autoscaler takes that for being switched off.
    """
    if _sets_replicas(wanted) or _owners(live) != {FIELD_MANAGER}:
        return None
    replicas = max(live["spec"].get("replicas", 1), 1)
    version = live["metadata"].get("resourceVersion")
    return _as_scale_manager(
        live, {"resourceVersion": version}, {"spec": {"replicas": replicas}},
        f"{replicas} replicas are handed over",
    )  # fmt: skip


def take_back(wanted: Object, live: Object) -> Apply | None:
    """The write that ends a hand-over, after an apply which sets the number again."""
    if not _sets_replicas(wanted) or SCALE_MANAGER not in _owners(live):
        return None
    return _as_scale_manager(live, {}, {}, "replicas are taken back")


def changes_hands(wanted: Object, live: Object) -> bool:
    """Whether an apply is due even if no value differs: ours of the field, or that of others."""
    ours = FIELD_MANAGER in _owners(live)
    return take_back(wanted, live) is not None or (ours and not _sets_replicas(wanted))


def _sets_replicas(wanted: Object) -> bool:
    return "replicas" in wanted["spec"]


def _owners(live: Object) -> set[str]:
    """Managers of `spec.replicas`, whatever they wrote it with (apply, update or scale)."""
    return set(_managers(live))


def _managers(live: Object) -> Iterator[str]:
    for entry in record_of(live):
        if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {}):
            yield entry["manager"]


def _as_scale_manager(live: Object, precondition: Object, fields: Object, reason: str) -> Apply:
    named = {key: live["metadata"][key] for key in ("name", "namespace")}
    manifest = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {**named, **precondition},
        **fields,
    }
    return Apply(manifest, live["metadata"]["uid"], reason, SCALE_MANAGER)
