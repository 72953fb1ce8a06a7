"""The pods of Synapse: what one process mounts, listens on, and is asked about.

Every label of the pod but its revision goes into that revision: none may change by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from homeserver_operator.api.groups import Scheduling
from homeserver_operator.api.names import (
    EPOCH_LABEL,
    HTTP_PORT,
    METRICS_PORT,
    PROBE_PORT,
    PROCESS_LABEL,
    REPLICATION_PORT,
    REVISION_LABEL,
    ROLE_LABEL,
    SHARES_LABEL_PREFIX,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_labels
from homeserver_operator.build.pods import container, pod_spec, with_revision
from homeserver_operator.fences import TOPOLOGY, Mark
from homeserver_operator.fences.marks import annotation
from homeserver_operator.render import paths
from homeserver_operator.topology import Process
from homeserver_operator.validate.sources import ENVIRONMENT, REGISTRATION

RUNTIME_USER: Final = 10001
"""The runtime image's user (runtime/Containerfile)."""


@dataclass(frozen=True)
class Mounts:
    """The objects that a Synapse process mounts, by name: its files, and the copies by purpose."""

    config: Mapping[str, str]
    copies: Mapping[str, Mapping[str, Any]]
    media_claim: str | None


def process_labels(server: HomeServer, process: Process, shares: Sequence[str]) -> dict[str, str]:
    """Labels of a Synapse pod. `shares` is what several groups claim together."""
    return (
        object_labels(server, "main" if process.is_main else "worker")
        | {
            PROCESS_LABEL: process.name,
            WORKER_GROUP_LABEL: process.group,
            ROLE_LABEL: "main" if process.is_main else "worker",
        }
        | {f"{SHARES_LABEL_PREFIX}{claim}": "true" for claim in shares}
    )


def process_template(
    server: HomeServer,
    process: Process,
    *,
    image: str,
    pull_policy: str,
    mounts: Mounts,
    shares: Sequence[str],
    spread: tuple[Mapping[str, Any], ...],
    marks: Mapping[str, Mark],
) -> dict[str, Any]:
    """The pod template of one Synapse process, labelled with its own revision.

    `spread` is where its pods go unless the user says so; `marks` are the fences that it holds.
    """
    volumes, volume_mounts = synapse_volumes(
        mounts.config[process.name],
        _readable(mounts.copies, process),
        mounts.media_claim if process.media_repository else None,
    )
    synapse = container(
        "synapse",
        image=image,
        pull_policy=pull_policy,
        resources=process.options.scheduling.resources,
        mounts=volume_mounts,
        args=["run"],
        env=[*_ENVIRONMENT, *(_secret_environment(mounts) if process.media_repository else ())],
        ports=_ports(process),
        startupProbe=_probe("/started", period=1, failures=600),
        readinessProbe=_probe("/ready", period=2, failures=2),
        livenessProbe=_probe("/live", period=10, failures=3),
    )
    spec = pod_spec(
        server,
        user=RUNTIME_USER,
        containers=[synapse],
        volumes=volumes,
        scheduling=_scheduling(process, spread),
        grace=90,
    )
    labels = process_labels(server, process, shares) | {EPOCH_LABEL: str(marks[TOPOLOGY].epoch)}
    return with_revision(labels, spec, annotation(marks))


def _scheduling(process: Process, spread: tuple[Mapping[str, Any], ...]) -> Scheduling:
    asked = process.options.scheduling
    if asked.topology_spread_constraints is not None:
        return asked
    return replace(asked, topology_spread_constraints=spread)


def synapse_volumes(
    config_map: str, copies: Mapping[str, Mapping[str, Any]], media_claim: str | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and mounts by the contract with the runtime; the ConfigMap holds the files."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []

    def add(name: str, path: str, source: Mapping[str, Any], *, read_only: bool = True) -> None:
        volumes.append({"name": name, **source})
        mounts.append({"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {}))

    add(paths.PROCESS_VOLUME, paths.CONFIG, {"configMap": {"name": config_map}})
    for purpose, copy in sorted(copies.items()):
        if purpose in ENVIRONMENT:
            continue
        add(purpose, _path(purpose), _copy_volume(copy))
    add("run", paths.RUN, {"emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}, read_only=False)
    add("tmp", "/tmp", {"emptyDir": {}}, read_only=False)  # noqa: S108 - a volume of the pod's own
    if media_claim:
        source = {"persistentVolumeClaim": {"claimName": media_claim}}
        add("media", paths.MEDIA, source, read_only=False)
    return volumes, mounts


def _readable(
    copies: Mapping[str, Mapping[str, Any]], process: Process
) -> Mapping[str, Mapping[str, Any]]:
    """What this process reads: registration by shared secret is the main process's alone."""
    if process.is_main:
        return copies
    return {purpose: copy for purpose, copy in copies.items() if purpose != REGISTRATION}


def _path(purpose: str) -> str:
    prefix = "file-"
    if purpose.startswith(prefix):
        return f"{paths.FILES}/{purpose.removeprefix(prefix)}"
    return f"{paths.SECRETS}/{purpose}"


def _copy_volume(copy: Mapping[str, Any]) -> dict[str, Any]:
    name = copy["metadata"]["name"]
    if copy["kind"] == "Secret":
        # 0440: readable through the pod's fsGroup, by nobody else.
        return {"secret": {"secretName": name, "defaultMode": 0o440}}
    return {"configMap": {"name": name}}


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "probe"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    }


def _ports(process: Process) -> list[dict[str, Any]]:
    ports = {"probe": PROBE_PORT, "metrics": METRICS_PORT}
    if process.is_main or process.serves or process.writes:
        ports["http"] = HTTP_PORT
    if process.replicating:
        ports["replication"] = REPLICATION_PORT
    return [
        {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
    ]


def _secret_environment(mounts: Mounts) -> Iterator[dict[str, Any]]:
    """What a media process has in its environment, because a library looks for it there."""
    for purpose in sorted(ENVIRONMENT & mounts.copies.keys()):
        copy = mounts.copies[purpose]
        for key in copy["data"]:
            reference = {"name": copy["metadata"]["name"], "key": key}
            yield {"name": key, "valueFrom": {"secretKeyRef": reference}}


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


_ENVIRONMENT: Final = [
    _field("POD_NAME", "metadata.name"),
    _field("POD_IP", "status.podIP"),
    _field("HOMESERVER_REVISION", f"metadata.labels['{REVISION_LABEL}']"),
]
