"""Which pods Services lead to while old and new ones are there at the same time.

A Service of one process follows the revision that serves, until the new one is warm. Those of
groups lead to one epoch; in a switch, to pods that only listen yet.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from homeserver_operator.api.names import EPOCH_LABEL, REVISION_LABEL
from homeserver_operator.api.observed import is_ready
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.fences import TOPOLOGY, marks_of
from homeserver_operator.plan.rollouts import Rollout, revision_of


def following(service: Object, rollout: Rollout, *, handed_over: bool, world: World) -> Object:
    """The Service of one process, at the revision that it should lead to now."""
    if handed_over or not (outdated := set(_outdated(service, rollout))):
        return service
    live = world.children.get(ObjectKey("Service", service["metadata"]["name"]))
    present = live["spec"].get("selector", {}).get(REVISION_LABEL) if live else None
    revision = present if present in outdated else min(outdated)
    selector = service["spec"]["selector"] | {REVISION_LABEL: revision}
    return _with_spec(service, selector=selector)


def _outdated(service: Object, rollout: Rollout) -> Iterator[str]:
    """Revisions of old pods to whom this Service may lead: one for replication, of its epoch."""
    epoch = service["metadata"]["labels"].get(EPOCH_LABEL)
    sets = [*rollout.old, *([rollout.current] if rollout.current and rollout.changed else [])]
    for replica_set in sets:
        mark = marks_of(replica_set["spec"]["template"]).get(TOPOLOGY)
        of_epoch = epoch is None or (mark and str(mark.epoch) == epoch)
        if of_epoch and (revision := revision_of(replica_set)):
            yield revision


def listening(service: Object, annotations: Mapping[str, str], world: World) -> Object:
    """A group's Service; while old pods go and nobody new is ready, it leads to who listens.

    With the annotations by which a controller goes to its address, because controllers pass pods
    over that are not ready.
    """
    selector = service["spec"]["selector"]
    members = {name: value for name, value in selector.items() if name != EPOCH_LABEL}
    pods = [pod for pod in world.of_kind("Pod").values() if _selected(pod, members)]
    new = [pod for pod in pods if _selected(pod, selector)]
    live = world.children.get(ObjectKey("Service", service["metadata"]["name"]))
    # Once it does it goes on, although the old ones may be gone before the first new one is ready.
    already = live is not None and live["spec"].get("publishNotReadyAddresses", False)
    if new and (already or len(new) < len(pods)) and not any(is_ready(pod) for pod in new):
        metadata = {**service["metadata"], **({"annotations": annotations} if annotations else {})}
        return _with_spec({**service, "metadata": metadata}, publishNotReadyAddresses=True)
    return service


def _selected(pod: Object, selector: Mapping[str, str]) -> bool:
    return bool(selector.items() <= pod["metadata"].get("labels", {}).items())


def _with_spec(service: Object, **fields: Any) -> Object:
    return {**service, "spec": {**service["spec"], **fields}}


def called_epochs(world: World) -> frozenset[str]:
    """Epochs of which pods are there, so that their replication Services must stay."""
    found = {
        pod["metadata"].get("labels", {}).get(EPOCH_LABEL) for pod in world.of_kind("Pod").values()
    }
    found |= {
        replica_set["spec"]["template"]["metadata"].get("labels", {}).get(EPOCH_LABEL)
        for replica_set in world.replica_sets
        if replica_set["spec"].get("replicas")
    }
    return frozenset(found - {None})
