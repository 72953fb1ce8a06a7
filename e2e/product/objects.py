"""What homeservers refer to: Secrets, ConfigMaps and certificates that their owners make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from e2e.cluster.pki import Authority
from e2e.product.kube import Object


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
