"""Builds the Go programs from pinned modules: Kubernetes, CoreDNS, Helm, a registry and others.

Which versions is said in the go.mod files below `go/` and nowhere else.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import cache
from e2e.cluster.progress import RigError, run_logged, step

GO_MODULES = Path(__file__).parent / "go"
BUILDS_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class GoModule:
    """One go.mod and the programs built from it; `stamps` are its packages that hold versions."""

    directory: str
    packages: tuple[str, ...]
    version_of: str = ""
    stamps: tuple[str, ...] = ()

    @property
    def programs(self) -> tuple[str, ...]:
        return tuple(package.rsplit("/", 1)[-1] for package in self.packages)

    @property
    def path(self) -> Path:
        return GO_MODULES / self.directory


KUBERNETES = GoModule(
    directory="kubernetes",
    packages=tuple(
        f"k8s.io/kubernetes/cmd/{program}"
        for program in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        )
    ),
    version_of="k8s.io/kubernetes",
    stamps=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
)
TOOLS = GoModule(
    directory="tools", packages=("github.com/coredns/coredns", "helm.sh/helm/v3/cmd/helm")
)
PROVISIONER = GoModule(
    directory="provisioner", packages=("github.com/rancher/local-path-provisioner",)
)
KWOK = GoModule(directory="kwok", packages=("sigs.k8s.io/kwok/cmd/kwok",))
REGISTRY = GoModule(
    directory="registry", packages=("github.com/distribution/distribution/v3/cmd/registry",)
)

MODULES = (KUBERNETES, TOOLS, PROVISIONER, KWOK, REGISTRY)


def version(module: GoModule) -> str:
    """Return the version, such as ``v1.34.4``, that go.mod pins for the module's product."""
    pattern = rf"^\s*(?:require )?{re.escape(module.version_of)} (v\S+)"
    found = re.search(pattern, (module.path / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise RigError(f"{module.path / 'go.mod'} does not require {module.version_of}")
    return found.group(1)


def _linker_flags(module: GoModule) -> str:
    if not module.stamps:
        return "-s -w"
    full = version(module)
    major, minor, _ = full.removeprefix("v").split(".", 2)
    values = {"gitVersion": full, "gitMajor": major, "gitMinor": minor}
    settings = [
        f"-X {package}.{name}={value}"
        for package in module.stamps
        for name, value in values.items()
    ]
    return " ".join(["-s", "-w", *settings])


def _go_version() -> str:
    command = ["go", "env", "GOVERSION", "GOARCH"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        message = "Go is not installed; install the version that e2e/cluster/go/*/go.mod name"
        raise RigError(message) from error


def binaries(module: GoModule) -> Path:
    """Return the directory with the module's programs, built first if the cache has none."""
    flags = _linker_flags(module)
    key = cache.input_hash(
        [module.path / "go.mod", module.path / "go.sum", flags, *module.packages, _go_version()]
    )

    def build(directory: Path) -> None:
        command = ["nice", "go", "build", "-mod=readonly", "-trimpath", "-ldflags", flags]
        title = f"building {', '.join(module.programs)}"
        with step(title):
            run_logged(
                [*command, "-o", f"{directory}/", *module.packages],
                title=title,
                log=cache.log_file(f"go-{module.directory}"),
                environment={**os.environ, "CGO_ENABLED": "0"},
                directory=module.path,
            )

    return cache.artefact(f"go-{module.directory}", key, build)


def all_binaries(*modules: GoModule) -> list[Path]:
    """Build several modules, two side by side, and return their directories in the same order."""
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        return list(pool.map(binaries, modules))
