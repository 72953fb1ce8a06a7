"""Objects for the tests of the shell."""

from typing import Any

from homeserver_operator.api import names
from homeserver_operator.api.kinds import BY_KIND

NAMESPACE = "chat"


def homeserver(name: str = "alpha", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"serverName": "example.org"},
        **more,
    }


def child(kind: str, name: str, owner: str = "alpha", **more: Any) -> dict[str, Any]:
    """An object with our labels, without a controller."""
    api_version = "apps/v1" if kind == "ReplicaSet" else BY_KIND[kind].api_version
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.HOMESERVER_LABEL: owner}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        **more,
    }


def pod(name: str, address: str, *, role: str = "worker", phase: str = "Running") -> dict[str, Any]:
    found = child("Pod", name, status={"phase": phase, "podIP": address})
    found["metadata"]["labels"][names.ROLE_LABEL] = role
    return found


def foreign(kind: str, name: str) -> dict[str, Any]:
    """An object of somebody else's."""
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "theirs"}},
    }
