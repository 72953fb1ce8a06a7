"""Questions about objects that every part asks in the same way."""

from collections.abc import Mapping

from homeserver_operator.api.names import KIND, ROLE_LABEL
from homeserver_operator.api.world import Object, ObjectKey


def key_of(manifest: Object) -> ObjectKey:
    """The object's kind and name."""
    return ObjectKey(manifest["kind"], manifest["metadata"]["name"])


def is_synapse(labelled: Object) -> bool:
    """Whether an object is of a Synapse process, rather than of a store."""
    return labelled["metadata"].get("labels", {}).get(ROLE_LABEL) in {"main", "worker"}


def is_ready(pod: Object) -> bool:
    """Whether the pod is ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod.get("status", {}).get("conditions", ())
    )


def has_ready(workload: Object) -> bool:
    """Whether a pod of a Deployment or ReplicaSet is ready."""
    return bool(workload.get("status", {}).get("readyReplicas"))


def is_selected(pod: Object, selector: Mapping[str, str]) -> bool:
    """Whether a Service's selector chooses a pod, or those of a template."""
    labels: Mapping[str, str] = pod["metadata"].get("labels", {})
    return selector.items() <= labels.items()


def listens(pod: Object, port: str) -> bool:
    """Whether a Service finds a port in a pod or a template; it gets one by a restart only."""
    return any(
        each.get("name") == port
        for container in pod["spec"]["containers"]
        for each in container.get("ports", ())
    )


def is_anothers(child: Object, uid: str) -> bool:
    """Whether another HomeServer than that of the uid controls it, with which it goes.

    Most likely one that had the same name and was deleted a moment ago.
    """
    return any(
        owner.get("controller") and owner["kind"] == KIND and owner["uid"] != uid
        for owner in child["metadata"].get("ownerReferences", ())
    )


def controller_of(child: Object) -> str | None:
    """The uid of the object's controller, None if it has none."""
    owners = child["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
