"""CRDs of others that tests need: Traefik's and the Gateway API's, out of their Go modules.

Only files are taken, nothing is built. Which versions is said here and nowhere else.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import cache
from e2e.cluster.progress import RigError, step

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class CrdModule:
    """A Go module, its checksum as go.sum has it, and which of its files are CRDs."""

    path: str
    version: str
    checksum: str
    files: str


MODULES = (
    CrdModule(
        path="sigs.k8s.io/gateway-api",
        version="v1.6.3",
        checksum="h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        files="config/crd/standard/gateway.networking.k8s.io_[!v]*.yaml",
    ),
    CrdModule(
        path="github.com/traefik/traefik/v3",
        version="v3.7.13",
        checksum="h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw=",
        files="docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
    ),
)


def crds(modules: Iterable[CrdModule] = MODULES) -> Path:
    """Return the directory with the CRDs of all modules, fetched if the cache has none."""
    chosen = tuple(modules)

    def fetch(directory: Path) -> None:
        with step(f"fetching the CRDs of {', '.join(module.path for module in chosen)}"):
            for module in chosen:
                source = _download(module)
                for file in sorted(source.glob(module.files)):
                    shutil.copyfile(file, directory / file.name)

    return cache.artefact("crds", cache.input_hash(map(repr, chosen)), fetch)


def _download(module: CrdModule) -> Path:
    command = ["go", "mod", "download", "-json", f"{module.path}@{module.version}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RigError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    found = json.loads(done.stdout)
    if found["Sum"] != module.checksum:
        raise RigError(f"{module.path} {module.version} has the checksum {found['Sum']}")
    return Path(found["Dir"])
