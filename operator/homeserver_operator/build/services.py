"""Services: one per route class for clients, one per called process for replication.

They are apart so that an Ingress can only ever name the client ones; the replication port is in no
Service that anything routes to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver_operator.api.names import (
    EPOCH_LABEL,
    HOMESERVER_LABEL,
    HTTP_PORT,
    PROCESS_LABEL,
    REPLICATION_PORT,
    REVISION_LABEL,
    SHARES_LABEL_PREFIX,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object
from homeserver_operator.build.meta import object_meta
from homeserver_operator.build.stores import store_name
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.dialects import INGRESS
from homeserver_operator.topology import Process, Topology


@dataclass(frozen=True)
class Services:
    """All Services of Synapse's processes.

    `follows` names the process of each that leads to one revision of one process.
    """

    objects: tuple[dict[str, Any], ...]
    follows: Mapping[str, str]


def build_services(
    server: HomeServer,
    topology: Topology,
    everyone: Iterable[Target],
    epoch: int,
    synapse: Mapping[str, Object],
) -> Services:
    """Main's first, those of route classes, and those for replication.

    `synapse` are the Deployments by process, `epoch` is the topology's.
    """
    objects: list[dict[str, Any]] = []
    follows: dict[str, str] = {}
    for target in (MAIN_TARGET, *(target for target in everyone if target.has_own_service)):
        if target.single:
            (process,) = target.members(topology)
            revision = _revision(synapse, process)
            service = build_client_service(server, target.route_class.name, process.name, revision)
            if target.is_main:
                # EndpointSlices have the labels of the Service that they are of, so that these tell
                # whether they have heard whom it leads to.
                service["metadata"]["labels"] |= {REVISION_LABEL: revision}
            follows[service["metadata"]["name"]] = process.name
        else:
            service = build_group_service(server, target, epoch)
        objects.append(service)
    for process in topology.replicating:
        revision = _revision(synapse, process)
        service = build_replication_service(server, process.name, epoch, revision)
        follows[service["metadata"]["name"]] = process.name
        objects.append(service)
    return Services(tuple(objects), follows)


def _revision(synapse: Mapping[str, Object], process: Process) -> str:
    labels = synapse[process.name]["spec"]["template"]["metadata"]["labels"]
    return str(labels[REVISION_LABEL])


def replication_service_name(server: HomeServer, process: str, epoch: int) -> str:
    """<homeserver>-<process>-e<epoch>: callers of one epoch never reach servers of another."""
    return f"{server.key.name}-{process}-e{epoch}"


def build_group_service(server: HomeServer, target: Target, epoch: int) -> dict[str, Any]:
    """The Service of a route class that several processes answer.

    Moving the class changes its selector and no pod. Of two epochs whose pods are there at the same
    time, it leads to one.
    """
    members = (
        {WORKER_GROUP_LABEL: target.groups[0]}
        if len(target.groups) == 1
        else {f"{SHARES_LABEL_PREFIX}{target.claim_label}": "true"}
    )
    name = client_service_name(server, target.route_class.name)
    return _service(server, name, "client", members | {EPOCH_LABEL: str(epoch)}, HTTP_PORT)


def build_client_service(
    server: HomeServer, route_class: str, process: str, revision: str
) -> dict[str, Any]:
    """The Service of a route class that one process answers, or of all that main does.

    It names the revision, because a successor that waits listens already; and it does not ask for
    readiness: there is nobody else to go to.
    """
    name = client_service_name(server, route_class)
    service = _service(server, name, "client", _one(process, revision), HTTP_PORT)
    service["spec"]["publishNotReadyAddresses"] = True
    if annotations := at_its_address(server):
        service["metadata"]["annotations"] = dict(annotations)
    return service


def at_its_address(server: HomeServer) -> Mapping[str, str]:
    """Annotations of a Service by which the controller goes to its address, not to its pods."""
    dialect = INGRESS.get(server.ingress.controller)
    return dialect.on_service if dialect else {}


def build_replication_service(
    server: HomeServer, process: str, epoch: int, revision: str
) -> dict[str, Any]:
    """How the others call one process.

    Not-ready addresses are published: processes turn ready only once they have heard from each
    other, so a Service that waits for readiness would wait for itself.
    """
    name = replication_service_name(server, process, epoch)
    labels = {EPOCH_LABEL: str(epoch)}
    selector = _one(process, revision)
    service = _service(server, name, "replication", selector, REPLICATION_PORT)
    service["metadata"]["labels"] |= labels
    service["spec"]["publishNotReadyAddresses"] = True
    return service


def _one(process: str, revision: str) -> dict[str, str]:
    return {PROCESS_LABEL: process, REVISION_LABEL: revision}


def build_store_service(server: HomeServer, store: str, port: int) -> dict[str, Any]:
    """The Service of the managed PostgreSQL or Redis."""
    return _service(server, store_name(server, store), store, {PROCESS_LABEL: store}, port)


def _service(
    server: HomeServer,
    name: str,
    component: str,
    selector: Mapping[str, str],
    port: int,
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
