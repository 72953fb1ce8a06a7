"""Volumes of people's data: claimed once, kept when the HomeServer goes unless told otherwise."""

from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres, Volume
from homeserver_operator.api.world import Object
from homeserver_operator.build.meta import object_meta
from homeserver_operator.build.stores import POSTGRES


def build_volumes(server: HomeServer) -> Iterator[Object]:
    """The claims of what we keep ourselves: none of a database or a volume that is given to us."""
    if not isinstance(server.postgres.server, ExternalPostgres):
        yield _claim(
            server,
            database_claim(server),
            server.postgres.server.storage,
            component=POSTGRES,
            retention=server.retention.database,
        )
    if server.media.volume.existing_claim is None:
        yield _claim(
            server,
            media_claim(server),
            server.media.volume,
            component="media",
            retention=server.retention.media,
        )


def database_claim(server: HomeServer) -> str:
    """The name of the managed database's claim."""
    return f"{server.key.name}-{POSTGRES}"


def media_claim(server: HomeServer) -> str:
    """The name of the claim of media, given or ours."""
    return server.media.volume.existing_claim or f"{server.key.name}-media"


def _claim(
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
