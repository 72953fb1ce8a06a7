"""What every pod of ours has in common.

All pods meet the restricted Pod Security Standard with a read-only root.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from homeserver_operator.api.canonical import digest
from homeserver_operator.api.groups import Scheduling
from homeserver_operator.api.names import REVISION_LABEL
from homeserver_operator.api.spec import HomeServer

CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_security(user: int) -> dict[str, Any]:
    """The pod's half of the restricted standard, for a fixed user."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(
    name: str,
    *,
    image: str,
    pull_policy: str,
    resources: Mapping[str, Any],
    mounts: Sequence[Mapping[str, Any]],
    **fields: Any,
) -> dict[str, Any]:
    """A container with what all our containers share; `fields` are added as they are."""
    built = {
        "name": name,
        "image": image,
        "imagePullPolicy": pull_policy,
        "resources": dict(resources),
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": list(mounts),
        **fields,
    }
    return {field: value for field, value in built.items() if value}


def pod_spec(
    server: HomeServer,
    *,
    user: int,
    containers: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
    scheduling: Scheduling,
    grace: int,
    account: str | None = None,
    sidecars: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A pod's spec with everything that all our pods share. `grace` in seconds.

    `account` is its ServiceAccount, by default the one without rights. `sidecars` start before the
    other containers and end after them.
    """
    spec: dict[str, Any] = {
        "serviceAccountName": account or server.key.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace,
        "securityContext": pod_security(user),
        "containers": list(containers),
        "volumes": list(volumes),
    }
    optional = {
        "initContainers": [{**sidecar, "restartPolicy": "Always"} for sidecar in sidecars],
        "imagePullSecrets": [{"name": name} for name in server.image_pull_secrets],
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": list(scheduling.tolerations),
        "affinity": dict(scheduling.affinity),
        "topologySpreadConstraints": list(scheduling.topology_spread_constraints or ()),
        "priorityClassName": scheduling.priority_class_name,
    }
    return spec | {name: value for name, value in optional.items() if value}


def with_revision(
    labels: Mapping[str, str],
    spec: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A pod template whose revision label is the hash of all the rest."""
    metadata: dict[str, Any] = {"labels": dict(labels)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    revision = digest({"metadata": metadata, "spec": dict(spec)})
    metadata["labels"] = {**labels, REVISION_LABEL: revision}
    return {"metadata": metadata, "spec": dict(spec)}
