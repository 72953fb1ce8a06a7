"""Hands a Deployment's number of replicas over to whoever scales, and takes it back.

A field that its only owner leaves out of an apply falls to its default: one pod. So a second field
manager of ours takes the number first, in a write of its own; then we leave it out. Everything is
decided on who owns the field now, so an operator may die between any two writes.

Whom we stop we stop as that manager too, so that a group which has none and whose number nobody
sets can be told apart: one that we have stopped starts again, with as many as it had, one that
others have scaled to none sleeps on.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from homeserver_operator.api.actions import Apply
from homeserver_operator.api.names import (
    FIELD_MANAGER,
    SCALE_MANAGER,
    STOPPED_FROM_ANNOTATION,
)
from homeserver_operator.api.world import Object
from homeserver_operator.plan.owned import is_ours, record_of

_A_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")


def hand_over(wanted: Object, live: Object) -> Apply | None:
    """The write that must come before an apply which leaves out a number that we alone own.

    Decided on the live number, so who scales meanwhile, wins.
    """
    if _sets_replicas(wanted) or _owners(live) != {FIELD_MANAGER}:
        return None
    replicas = live["spec"].get("replicas", 1)
    return _as_scale_manager(live, replicas, f"{replicas} replicas are handed over")


def start_again(wanted: Object, live: Object) -> Apply | None:
    """The write that starts a group which has none because of us: it was stopped or handed over so.

    With as many as it had, or one, from which whoever scales goes on: an autoscaler takes none at
    all for being switched off. Only after all that is to be applied, or a pod of what was before
    would start.
    """
    if _sets_replicas(wanted) or not was_stopped(live):
        return None
    noted = live["metadata"].get("annotations", {}).get(STOPPED_FROM_ANNOTATION, "")
    replicas = int(noted) if _A_NUMBER.fullmatch(noted) else 1
    return _as_scale_manager(live, replicas, "it was stopped, and nobody else sets its replicas")


def take_back(wanted: Object, live: Object) -> Apply | None:
    """The write that ends a hand-over, after an apply which sets the number again."""
    if not _sets_replicas(wanted) or SCALE_MANAGER not in _owners(live):
        return None
    return _as_scale_manager(live, None, "replicas are taken back")


def changes_hands(wanted: Object, live: Object) -> bool:
    """Whether an apply is due even if no value differs: ours of the field, or that of others.

    What we own by another write than an apply, no apply takes away from us.
    """
    ours = any(is_ours(entry) for entry in _records(live))
    return take_back(wanted, live) is not None or (ours and not _sets_replicas(wanted))


def was_stopped(live: Object) -> bool:
    """Whether nobody is left of it because it was stopped here, not because nobody was wanted."""
    return live["spec"].get("replicas") == 0 and SCALE_MANAGER in _owners(live)


def number_of_others(workload: Object) -> int | None:
    """How many pods whoever scales a Deployment has given it; None: that is not theirs to say."""
    if workload["kind"] != "Deployment" or FIELD_MANAGER in _owners(workload):
        return None
    return int(workload["spec"].get("replicas", 1)) or None


def _sets_replicas(wanted: Object) -> bool:
    return "replicas" in wanted["spec"]


def _owners(live: Object) -> set[str]:
    """Managers of `spec.replicas`, whatever they wrote it with (apply, update or scale)."""
    return {entry["manager"] for entry in _records(live)}


def _records(live: Object) -> Iterator[Mapping[str, Any]]:
    for entry in record_of(live):
        if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {}):
            yield entry


def _as_scale_manager(live: Object, replicas: int | None, reason: str) -> Apply:
    """The number, for this very version of the object; None lets it go, whatever it is by now."""
    metadata = {key: live["metadata"][key] for key in ("name", "namespace")}
    manifest = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
    if replicas is not None:
        metadata["resourceVersion"] = live["metadata"].get("resourceVersion")
        manifest["spec"] = {"replicas": replicas}
    return Apply(manifest, live["metadata"]["uid"], reason, SCALE_MANAGER)
