"""Which pods Services lead to while old and new ones are there at the same time.

A Service of one process follows the ReplicaSet that serves, until the new one is warm: by its hash,
since `kubectl rollout restart` makes a new one of the same revision. Those of groups lead to one
epoch; in a switch, to pods that only listen yet.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from homeserver_operator.api.names import (
    EPOCH_LABEL,
    PROCESS_LABEL,
    REVISION_LABEL,
    TEMPLATE_HASH_LABEL,
)
from homeserver_operator.api.observed import has_ready, is_ready, is_selected, listens
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build.services import build_replication_service
from homeserver_operator.fences import TOPOLOGY, marks_of
from homeserver_operator.plan.rollout import Rollout, revision_of


def following(service: Object, rollout: Rollout, *, handed_over: bool, world: World) -> Object:
    """The Service of one process, at the ReplicaSet that it should lead to now."""
    live = world.children.get(ObjectKey("Service", service["metadata"]["name"]))
    present: Mapping[str, str] = live["spec"].get("selector", {}) if live else {}
    wanted = service["spec"]["selector"]
    sets = list(_outdated(service, rollout))
    if not handed_over and sets:
        fitting = [each for each in sets if _labels(each).items() <= present.items()]
        return _leading_to(service, _labels(min(fitting or sets, key=_precedence)))
    if rollout.applied and rollout.current:
        return _leading_to(service, _labels(rollout.current))
    if wanted.items() <= present.items():
        # The same template will be called the same again.
        return _leading_to(service, _marks(present))
    return service


def replicating(server: HomeServer, process: str, replica_set: Object) -> Object | None:
    """The Service by which others of its epoch call a process; None for whom nobody calls."""
    template = replica_set["spec"]["template"]
    labels = template["metadata"]["labels"]
    mark, revision = marks_of(template).get(TOPOLOGY), revision_of(replica_set)
    # What somebody has edited is put back, and not led to meanwhile.
    ours = mark and labels.get(EPOCH_LABEL) == str(mark.epoch)
    if not (mark and ours and revision and labels.get(PROCESS_LABEL) == process):
        return None
    if not listens(template, "replication"):
        return None
    service = build_replication_service(server, process, mark.epoch, revision)
    return _leading_to(service, _labels(replica_set))


def _leading_to(service: Object, marks: Mapping[str, str]) -> Object:
    """Led to one ReplicaSet, and by the same label as it if it has that label."""
    metadata = service["metadata"]
    labels = metadata["labels"] | {
        name: value for name, value in marks.items() if name in metadata["labels"]
    }
    selector = service["spec"]["selector"] | marks
    return _with_spec({**service, "metadata": {**metadata, "labels": labels}}, selector=selector)


def _labels(replica_set: Object) -> dict[str, str]:
    """What the pods of one ReplicaSet and of no other have."""
    return _marks(replica_set["spec"]["template"]["metadata"]["labels"])


def _marks(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: labels[name] for name in (REVISION_LABEL, TEMPLATE_HASH_LABEL) if name in labels}


def _precedence(replica_set: Object) -> tuple[bool, str, str]:
    """Who serves comes before who does not, and then who is older."""
    metadata = replica_set["metadata"]
    created = metadata.get("creationTimestamp", "")
    return not has_ready(replica_set), created, metadata["name"]


def _outdated(service: Object, rollout: Rollout) -> Iterator[Object]:
    """ReplicaSets of old pods to whom this Service may lead: one for replication, of its epoch."""
    epoch = service["metadata"]["labels"].get(EPOCH_LABEL)
    for replica_set in rollout.outdated:
        mark = marks_of(replica_set["spec"]["template"]).get(TOPOLOGY)
        of_epoch = epoch is None or (mark and str(mark.epoch) == epoch)
        if of_epoch and revision_of(replica_set):
            yield replica_set


def listening(
    service: Object, annotations: Mapping[str, str], *, switching: bool, world: World
) -> Object:
    """A group's Service; while old pods go and nobody new is ready, it leads to who listens.

    With the annotations by which a controller goes to its address, because controllers pass pods
    over that are not ready. `switching`: whoever answers now, of this group or not, is of an epoch
    that goes.
    """
    selector = service["spec"]["selector"]
    members = {name: value for name, value in selector.items() if name != EPOCH_LABEL}
    pods = [pod for pod in world.of_kind("Pod").values() if is_selected(pod, members)]
    new = [pod for pod in pods if is_selected(pod, selector)]
    live = world.children.get(ObjectKey("Service", service["metadata"]["name"]))
    # Once it does it goes on, although the old ones may be gone before the first new one is ready.
    already = live is not None and live["spec"].get("publishNotReadyAddresses", False)
    going = switching or already or len(new) < len(pods)
    if new and going and not any(is_ready(pod) for pod in new):
        metadata = {**service["metadata"], **({"annotations": annotations} if annotations else {})}
        return _with_spec({**service, "metadata": metadata}, publishNotReadyAddresses=True)
    return service


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
