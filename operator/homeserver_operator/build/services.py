"""Services: one per route class for clients, one per called process for replication.

They are apart so that an Ingress can only ever name the client ones; the replication port is in no
Service that anything routes to.
"""

from collections.abc import Mapping
from typing import Any

from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    HTTP_PORT,
    MAIN,
    PROCESS_LABEL,
    REPLICATION_PORT,
    SHARES_LABEL_PREFIX,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_meta
from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects import INGRESS
from homeserver_operator.topology import Process

TOPOLOGY_EPOCH = 1
"""Carried in the names of replication Services, so that callers of one epoch never reach servers of
another; it rises with fences, which do not exist yet."""


def client_service_name(server: HomeServer, route_class: str) -> str:
    """<homeserver>-<route class>; `main` for what falls to the main process."""
    return f"{server.key.name}-{route_class}"


def replication_service_name(server: HomeServer, process: Process) -> str:
    """<homeserver>-<process>-e<epoch>."""
    return f"{server.key.name}-{process.name}-e{TOPOLOGY_EPOCH}"


def build_client_service(server: HomeServer, target: Target) -> dict[str, Any]:
    """The Service of one route class; moving the class changes its selector and no pod."""
    name = target.route_class.name
    selector = (
        {WORKER_GROUP_LABEL: target.groups[0]}
        if len(target.groups) == 1
        else {f"{SHARES_LABEL_PREFIX}{target.claim_label}": "true"}
    )
    service = _service(server, client_service_name(server, name), "client", selector, HTTP_PORT)
    return _for_controller(server, service, single=target.single)


def build_main_service(server: HomeServer) -> dict[str, Any]:
    """Where everything goes that no worker answers."""
    name = client_service_name(server, MAIN)
    service = _service(server, name, "client", {WORKER_GROUP_LABEL: MAIN}, HTTP_PORT)
    return _for_controller(server, service, single=True)


def _for_controller(server: HomeServer, service: dict[str, Any], *, single: bool) -> dict[str, Any]:
    """With the annotations by which a controller goes to the Service's own address."""
    dialect = INGRESS.get(server.ingress.controller)
    if single and dialect and dialect.on_service:
        service["metadata"]["annotations"] = dict(dialect.on_service)
    return service


def build_replication_service(server: HomeServer, process: Process) -> dict[str, Any]:
    """How the others call one process.

    Not-ready addresses are published: processes turn ready only once they have heard from each
    other, so a Service that waits for readiness would wait for itself.
    """
    name = replication_service_name(server, process)
    service = _service(server, name, "replication", {PROCESS_LABEL: process.name}, REPLICATION_PORT)
    service["spec"]["publishNotReadyAddresses"] = True
    return service


def build_store_service(server: HomeServer, store: str, port: int) -> dict[str, Any]:
    """The Service of the managed PostgreSQL or Redis."""
    name = f"{server.key.name}-{store}"
    return _service(server, name, store, {PROCESS_LABEL: store}, port)


def _service(
    server: HomeServer, name: str, component: str, selector: Mapping[str, str], port: int
) -> dict[str, Any]:
    port_name = {HTTP_PORT: "http", REPLICATION_PORT: "replication"}.get(port, component)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(server, name, component=component),
        "spec": {
            "type": "ClusterIP",
            "selector": {HOMESERVER_LABEL: server.key.name, **selector},
            "ports": [
                {"name": port_name, "port": port, "targetPort": port_name, "protocol": "TCP"}
            ],
        },
    }
