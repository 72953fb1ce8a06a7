"""HorizontalPodAutoscalers: one for each group whose number of processes Kubernetes chooses."""

from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.groups import Autoscale
from homeserver_operator.api.names import WORKER_GROUP_LABEL
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.deployments import deployment_name
from homeserver_operator.build.meta import object_meta
from homeserver_operator.topology import Topology


def build_autoscalers(server: HomeServer, topology: Topology) -> Iterator[dict[str, Any]]:
    """The autoscalers; each scales the one Deployment of its group."""
    for group in server.workers:
        if group.autoscale:
            (process,) = topology.of_group(group.name)
            yield _autoscaler(server, group.name, deployment_name(server, process), group.autoscale)


def _autoscaler(
    server: HomeServer, group: str, deployment: str, autoscale: Autoscale
) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
    spec: dict[str, Any] = {
        "scaleTargetRef": target,
        "minReplicas": autoscale.min_replicas,
        "maxReplicas": autoscale.max_replicas,
        "metrics": [
            *_utilization("cpu", autoscale.cpu_utilization),
            *_utilization("memory", autoscale.memory_utilization),
            *autoscale.metrics,
        ],
    }
    if autoscale.behavior:
        spec["behavior"] = autoscale.behavior
    labels = {WORKER_GROUP_LABEL: group}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": object_meta(server, deployment, component="worker", labels=labels),
        "spec": spec,
    }


def _utilization(resource: str, percent: int | None) -> Iterator[dict[str, Any]]:
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        yield {"type": "Resource", "resource": {"name": resource, "target": target}}
