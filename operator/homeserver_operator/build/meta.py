"""The only maker of metadata, content hashes and content names."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from homeserver_operator.api.canonical import canonical
from homeserver_operator.api.names import (
    API_VERSION,
    HOMESERVER_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
)
from homeserver_operator.api.spec import HomeServer

HASH_LENGTH = 10


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


def digest(value: Any) -> str:
    """A short hash of a JSON-like value, the same for equal values in any order of keys."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:HASH_LENGTH]


def keyed_digest(key: bytes, content: Mapping[str, bytes]) -> str:
    """A short hash of secret content that tells nothing to who does not hold the key."""
    mac = hmac.new(key, digestmod="sha256")
    for name, value in sorted(content.items()):
        for part in (name.encode(), value):
            mac.update(len(part).to_bytes(8, "big") + part)
    return mac.hexdigest()[:HASH_LENGTH]
