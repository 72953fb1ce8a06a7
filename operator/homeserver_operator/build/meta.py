"""The only maker of metadata."""

from collections.abc import Mapping
from typing import Any

from homeserver_operator.api.names import (
    API_VERSION,
    HOMESERVER_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
)
from homeserver_operator.api.spec import HomeServer


def object_meta(
    server: HomeServer,
    name: str,
    *,
    component: str,
    owned: bool = True,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Metadata of one child; `owned` children go when the HomeServer goes.

    `labels` are added to the recommended ones; `component` says what the object belongs to.
    """
    meta: dict[str, Any] = {
        "name": name,
        "namespace": server.key.namespace,
        "labels": object_labels(server, component) | dict(labels or {}),
    }
    if owned:
        meta["ownerReferences"] = [owner_reference(server)]
    return meta


def owner_reference(server: HomeServer) -> dict[str, Any]:
    """What makes an object the HomeServer's, to go when it goes."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": server.key.name,
        "uid": server.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def object_labels(server: HomeServer, component: str) -> dict[str, str]:
    """The recommended labels, and the two by which we find our objects again.

    No version among them: pods carry these, and an upgrade must not restart them.
    """
    return {
        "app.kubernetes.io/name": "homeserver",
        "app.kubernetes.io/instance": server.key.name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "matrix",
        MANAGED_BY_LABEL: MANAGED_BY,
        HOMESERVER_LABEL: server.key.name,
    }
