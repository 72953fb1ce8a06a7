"""Deployments of Synapse processes."""

from collections.abc import Mapping
from typing import Any, Final

from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    PROCESS_LABEL,
    ROLE_LABEL,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_meta
from homeserver_operator.topology import Process

SURGE: Final[Mapping[str, Any]] = {"maxSurge": 1, "maxUnavailable": 0}


def deployment_name(server: HomeServer, process: Process) -> str:
    """<homeserver>-<group> or <homeserver>-<group>-<index>."""
    return f"{server.key.name}-{process.name}"


def build_deployment(
    server: HomeServer, process: Process, template: Mapping[str, Any]
) -> dict[str, Any]:
    """The Deployment of one process around its pod template."""
    role = template["metadata"]["labels"][ROLE_LABEL]
    spec: dict[str, Any] = {
        "selector": {
            "matchLabels": {HOMESERVER_LABEL: server.key.name, PROCESS_LABEL: process.name}
        },
        "template": dict(template),
        # A new pod is warm before an old one is let go, and waits for it where it must.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": SURGE},
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": 600,
    }
    if process.replicas is not None:
        spec["replicas"] = process.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(
            server,
            deployment_name(server, process),
            component=role,
            labels={
                PROCESS_LABEL: process.name,
                WORKER_GROUP_LABEL: process.group,
                ROLE_LABEL: role,
            },
        ),
        "spec": spec,
    }
