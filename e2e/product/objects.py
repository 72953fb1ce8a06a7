"""What homeservers refer to and their owners make: Secrets, ConfigMaps, certificates; and pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from e2e.cluster.pki import Authority
from e2e.product.kube import Object


def confined_pod(container: Object, volumes: Sequence[Object]) -> Object:
    """The spec of a pod of one container that ends at once, as restricted as namespaces demand."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{**container, "securityContext": security}],
        "volumes": [*volumes],
    }


def secret(name: str, content: Mapping[str, str], *, type_: str = "Opaque") -> Object:
    """A Secret of texts."""
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": type_,
        "stringData": {**content},
    }  # fmt: skip


def config_map(name: str, content: Mapping[str, str]) -> Object:
    """A ConfigMap of texts."""
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {**content}
    }  # fmt: skip


def tls_secret(authority: Authority, homeserver: str, hosts: Iterable[str]) -> Object:
    """`<homeserver>-tls`: a certificate for the hosts, with its key."""
    names = [f"DNS:{host}" for host in sorted(hosts)]
    certificate, key = authority.server(homeserver, names)
    content = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    return secret(f"{homeserver}-tls", content, type_="kubernetes.io/tls")
