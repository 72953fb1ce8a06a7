"""The router's objects: HAProxy with its agent, what both run by, and what the agent may ask.

How the table is written for HAProxy is `render`'s; when traffic goes over to the router, `plan`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    PROCESS_LABEL,
    ROLE_LABEL,
    ROUTER,
    ROUTER_CONFIG_ANNOTATION,
    ROUTER_PORT,
)
from homeserver_operator.api.router import Router
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object
from homeserver_operator.build.content import build_config_map
from homeserver_operator.build.deployments import SURGE
from homeserver_operator.build.meta import object_labels, object_meta
from homeserver_operator.build.pods import with_revision
from homeserver_operator.build.router_access import build_access, router_name, slots_name
from homeserver_operator.build.router_pods import router_pod_spec


@dataclass(frozen=True)
class RouterObjects:
    """Everything of a router but its NetworkPolicies and what leads traffic to it.

    `access` is its ServiceAccount and what that may do, `config` names the ConfigMap to run by.
    """

    access: tuple[Object, ...]
    content: tuple[Object, ...]
    budgets: tuple[Object, ...]
    service: Object
    deployment: Object
    config: str


def build_router(
    server: HomeServer, router: Router, files: Mapping[str, str], *, image: str, pull_policy: str
) -> RouterObjects:
    """All objects; `files` are what HAProxy and the agent read."""
    config_map = build_config_map(server, ROUTER, files, component=ROUTER)
    config = config_map["metadata"]["name"]
    return RouterObjects(
        access=build_access(server, config),
        content=(config_map, _slots(server)),
        budgets=(_budget(server),) if router.replicas > 1 else (),
        service=_service(server, config),
        deployment=_deployment(server, router, image, pull_policy),
        config=config,
    )


def _meta(server: HomeServer, name: str) -> dict[str, Any]:
    labels = {PROCESS_LABEL: ROUTER, ROLE_LABEL: ROUTER}
    return object_meta(server, name, component=ROUTER, labels=labels)


def _selector(server: HomeServer) -> dict[str, str]:
    return {HOMESERVER_LABEL: server.key.name, PROCESS_LABEL: ROUTER}


def _slots(server: HomeServer) -> dict[str, Any]:
    """Where the agents agree on which pod has which share; the content is theirs."""
    name = slots_name(server)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(server, name)}


def _service(server: HomeServer, config: str) -> dict[str, Any]:
    """Where traffic comes in. It names the configuration, so that pods follow without a restart."""
    meta = _meta(server, router_name(server))
    port = {"name": "http", "port": ROUTER_PORT, "targetPort": "http", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**meta, "annotations": {ROUTER_CONFIG_ANNOTATION: config}},
        "spec": {"type": "ClusterIP", "selector": _selector(server), "ports": [port]},
    }


def _budget(server: HomeServer) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(server, router_name(server)),
        "spec": {
            "maxUnavailable": 1,
            # A pod that is not ready serves nobody: it must not keep a node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": _selector(server)},
        },
    }


def _deployment(server: HomeServer, router: Router, image: str, pull_policy: str) -> dict[str, Any]:
    labels = object_labels(server, ROUTER) | {PROCESS_LABEL: ROUTER, ROLE_LABEL: ROUTER}
    scheduling = router.scheduling
    if scheduling.topology_spread_constraints is None:
        scheduling = replace(scheduling, topology_spread_constraints=(_spread(server),))
    spec = router_pod_spec(server, scheduling, image=image, pull_policy=pull_policy)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(server, router_name(server)),
        "spec": {
            "replicas": router.replicas,
            "selector": {"matchLabels": _selector(server)},
            "template": with_revision(labels, spec),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": SURGE},
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
        },
    }


def _spread(server: HomeServer) -> dict[str, Any]:
    """To nodes without another one, if there are; whatever the number: scaling restarts nobody."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(server)},
    }
