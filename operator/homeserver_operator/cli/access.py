"""The plugin's way to the cluster: the user's kubeconfig, reads, and annotations of HomeServers."""

import argparse
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from homeserver_operator.api import names
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.world import Object
from homeserver_operator.cli.output import CliError
from homeserver_operator.cluster import Cluster
from homeserver_operator.metrics import Metrics
from homeserver_operator.resources import HOMESERVER, path_of
from homeserver_operator.transport import MERGE_PATCH, ApiError, Request, Transport, patiently

_POD: Final = BY_KIND["Pod"]
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SILENCE: Final = 30.0
_WRITER: Final = (("fieldManager", "kubectl-homeserver"),)


@dataclass(frozen=True)
class Access:
    """One namespace of one cluster, with the rights of whoever asks."""

    transport: Transport
    namespace: str

    async def homeserver(self, name: str) -> Object:
        """Read a HomeServer; raises CliError if there is none or the API server refuses."""
        try:
            found = await Cluster(self.transport).get(HOMESERVER, self.namespace, name)
        except ApiError as error:
            raise CliError(f"HomeServer {name}: {error}") from None
        if found is None:
            raise CliError(
                f"there is no HomeServer {name} in namespace {self.namespace}: "
                "see `kubectl get homeservers --all-namespaces`"
            )
        return found

    async def annotate(self, body: Object, annotations: Mapping[str, str]) -> None:
        """Set annotations of a HomeServer as it was read; ApiError 409 if it has changed since."""
        metadata = body["metadata"]
        precondition = {key: metadata[key] for key in ("uid", "resourceVersion")}
        path = path_of(HOMESERVER, self.namespace, metadata["name"])
        patch = {"metadata": {**precondition, "annotations": annotations}}
        request = Request("PATCH", path, "patch", HOMESERVER.kind, _WRITER, patch, MERGE_PATCH)
        await patiently(lambda: self.transport.send(request))

    async def pods(self, homeserver: str) -> tuple[Object, ...]:
        """Every pod of a HomeServer that runs Synapse; raises ApiError."""
        labels = f"{names.HOMESERVER_LABEL}={homeserver},{names.ROLE_LABEL}"
        found = await Cluster(self.transport).list(_POD, self.namespace, labels=labels)
        synapse = ("main", "worker")
        return tuple(p for p in found if p["metadata"]["labels"][names.ROLE_LABEL] in synapse)

    async def log(self, pod: str, *, seconds: int) -> list[str]:
        """The lines that a pod's Synapse has written in the last seconds; raises ApiError."""
        request = Request(
            "GET",
            path_of(_POD, self.namespace, pod, "log"),
            "get",
            _POD.kind,
            query=(("container", "synapse"), ("sinceSeconds", str(seconds))),
            accept="application/json, */*",
        )
        response = await self.transport.stream(request, silence=_SILENCE)
        try:
            return (await response.text(errors="replace")).splitlines()
        finally:
            response.close()


@asynccontextmanager
async def connect(options: argparse.Namespace) -> AsyncIterator[Access]:
    """Connect as kubectl would with these options; raises CliError."""
    configuration = Configuration()
    try:
        namespace = await _load(options, configuration)
    except (ConfigException, OSError) as error:
        raise CliError(f"no usable kubeconfig: {error}") from None
    transport = Transport(configuration, Metrics())
    try:
        yield Access(transport, options.namespace or namespace)
    finally:
        await transport.close()


async def _load(options: argparse.Namespace, configuration: Configuration) -> str:
    """Fill in the configuration; returns the namespace that goes with it."""
    file, context = options.kubeconfig, options.context
    if not (file or context) and (namespace := _of_own_pod()):
        load_incluster_config(client_configuration=configuration)
        return namespace
    await load_kube_config(
        config_file=file,
        context=context,
        client_configuration=configuration,
        persist_config=False,
    )
    contexts, current = list_kube_config_contexts(config_file=file)
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def _of_own_pod() -> str | None:
    """The namespace of the pod that this runs in, None where a kubeconfig comes first."""
    files = KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)
    if any(Path(file).expanduser().exists() for file in files) or not _OWN_NAMESPACE.exists():
        return None
    return _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
