"""What keeps a pod from working, in words for people, read from its own status or its owner's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver_operator.api.world import Object

CONFIG_REJECTED: Final = "ConfigRejected"
IMAGE_UNAVAILABLE: Final = "ImageUnavailable"
UNSCHEDULABLE: Final = "Unschedulable"
CRASHING: Final = "Crashing"
CONTAINER_REFUSED: Final = "ContainerRefused"
PODS_REFUSED: Final = "PodsRefused"

EX_CONFIG: Final = 78
"""Exit code of the runtime for a configuration that Synapse refuses."""

_IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    }
)
_REFUSED_REASONS: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)


@dataclass(frozen=True)
class Trouble:
    """The trouble of one pod, or of those that cannot be made.

    `needs_people`: it will not go away by itself.
    """

    reason: str
    message: str
    needs_people: bool


def trouble(pod: Object) -> Trouble | None:
    """The first thing that is wrong with a pod, None for a pod that runs or is just starting."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    # The router's agent is an init container in Kubernetes' terms.
    containers = ("initContainerStatuses", "containerStatuses")
    for container in (each for field in containers for each in status.get(field, ())):
        if found := _container_trouble(name, container):
            return found
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            text = f"pod {name} has no node: {condition.get('message', 'unschedulable')}"
            return Trouble(UNSCHEDULABLE, text, needs_people=False)
    return None


def trouble_with_pods(replica_set: Object) -> Trouble | None:
    """Why pods are not even made, None if they are.

    Pod Security is changed by people alone; a quota, an account or a webhook may be there later.
    """
    words = refusal_of_pods(replica_set)
    if words is None or not replica_set["spec"].get("replicas"):
        return None
    text = f"pods of {replica_set['metadata']['name']} cannot be made: {words}"
    return Trouble(PODS_REFUSED, text, needs_people="violates PodSecurity" in words)


def refusal_of_pods(replica_set: Object) -> str | None:
    """The API server's word on a ReplicaSet's pods that it does not take."""
    for condition in replica_set.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message") or condition.get("reason", "no reason given"))
    return None


def _container_trouble(pod: str, container: Mapping[str, Any]) -> Trouble | None:
    state = container.get("state", {})
    waiting = state.get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE_REASONS:
        text = f"pod {pod} cannot get image {container.get('image', '')}: {message or reason}"
        return Trouble(IMAGE_UNAVAILABLE, text, needs_people=True)
    if reason in _REFUSED_REASONS:
        text = f"pod {pod} cannot start: {message or reason}"
        return Trouble(CONTAINER_REFUSED, text, needs_people=True)
    ended = state.get("terminated") or (
        container.get("lastState", {}).get("terminated") if reason == "CrashLoopBackOff" else None
    )
    if not ended or ended.get("exitCode") == 0:
        return None
    last_words = (ended.get("message") or f"exit code {ended.get('exitCode')}").strip()
    if ended.get("exitCode") == EX_CONFIG:
        return Trouble(CONFIG_REJECTED, f"pod {pod}: {last_words}", needs_people=True)
    return Trouble(CRASHING, f"pod {pod}: {last_words}", needs_people=False)
