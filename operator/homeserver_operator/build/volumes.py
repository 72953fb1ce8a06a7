"""Volumes of people's data: claimed once, kept when the HomeServer goes unless told otherwise."""

from typing import Any

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import Volume
from homeserver_operator.build.meta import object_meta


def build_claim(
    server: HomeServer, name: str, volume: Volume, *, component: str, retention: str
) -> dict[str, Any]:
    """A PersistentVolumeClaim, owned by the HomeServer only if its data may go with it."""
    spec: dict[str, Any] = {
        "accessModes": [volume.access_mode],
        "resources": {"requests": {"storage": volume.size}},
    }
    if volume.storage_class_name is not None:
        spec["storageClassName"] = volume.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": object_meta(server, name, component=component, owned=retention == "Delete"),
        "spec": spec,
    }
