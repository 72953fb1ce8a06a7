"""All objects of a case, looked up in the ways that rules over them need."""

from collections.abc import Iterator
from functools import cache

import yaml
from tests.core import case

from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.render.paths import PROCESS_VOLUME


@cache
def objects(name: str) -> dict[ObjectKey, Object]:
    """All objects of a case by key."""
    return {key_of(manifest): manifest for manifest in case.manifests(name).all()}


def key_of(manifest: Object) -> ObjectKey:
    return ObjectKey(manifest["kind"], manifest["metadata"]["name"])


def pod_templates(name: str) -> Iterator[tuple[str, Object]]:
    for key, manifest in objects(name).items():
        if key.kind == "Deployment":
            yield key.name, manifest["spec"]["template"]


def of_kind(name: str, kind: str) -> dict[str, Object]:
    return {key.name: found for key, found in objects(name).items() if key.kind == kind}


def selected(name: str, service: Object) -> list[str]:
    """Names of the Deployments whose pods a Service selects."""
    return [
        deployment
        for deployment, found in of_kind(name, "Deployment").items()
        if service["spec"]["selector"].items()
        <= found["spec"]["template"]["metadata"]["labels"].items()
    ]


@cache
def homeserver_yaml(name: str, process: str) -> Object:
    settings: Object = yaml.load(files(name, process)["homeserver.yaml"], yaml.CSafeLoader)
    return settings


def files(name: str, process: str) -> dict[str, str]:
    """What a process's ConfigMap holds."""
    volumes = case.manifests(name).synapse[process]["spec"]["template"]["spec"]["volumes"]
    (config,) = (
        of_kind(name, "ConfigMap")[volume["configMap"]["name"]]
        for volume in volumes
        if volume["name"] == PROCESS_VOLUME
    )
    data: dict[str, str] = config["data"]
    return data


def listeners(settings: Object) -> list[Object]:
    return list(settings.get("listeners", settings.get("worker_listeners", ())))
