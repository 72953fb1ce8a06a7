"""Installs the Debian packages that the rig needs, without starting any service of theirs.

Or puts them into folders of their own, of whichever release.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import cache
from e2e.cluster.progress import RigError, run_logged, step

if TYPE_CHECKING:
    from collections.abc import Iterator

# Package: a program or file that shows that it is there, installed from wherever.
NODE = {
    "buildah": "buildah",
    "catatonit": "catatonit",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "etcd-server": "etcd",
    "iproute2": "ip",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "procps": "sysctl",
    "python3-pip": "pip3",
    "runc": "runc",
    "util-linux": "nsenter",
}
CONTROL_PLANE = {name: NODE[name] for name in ("etcd-server", "openssl")}
# Some shells' PATH lacks the folders of programs that are root's.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
MIRROR_VARIABLE = "HOMESERVER_E2E_DEBIAN_MIRROR"
POLICY = Path("/usr/sbin/policy-rc.d")
START_NOTHING = (
    "#!/bin/sh\n# Written by homeserver-operator's e2e rig while it installs packages.\nexit 101\n"
)


def require_root() -> None:
    """Refuse to go on where the rig cannot work, with what to do about it."""
    if sys.platform != "linux":
        raise RigError("the cluster rig needs Linux; use a cluster of your own instead (README.md)")
    if os.geteuid() != 0:
        raise RigError("the cluster rig makes network namespaces and mounts: run it as root")


def install_missing(packages: dict[str, str]) -> None:
    """Install those packages whose program is absent; does nothing at all if none is."""
    if not _missing(packages):
        return
    require_root()
    # Tests start several of us side by side, and dpkg lets one install at a time.
    with cache.locked("apt"):
        if missing := _missing(packages):
            _install(missing)


def bootstrap(suite: str, target: Path, *options: str, log: Path) -> None:
    """Have mmdebstrap make a tree or an archive of a Debian release's packages."""
    install_missing({"mmdebstrap": NODE["mmdebstrap"]})
    mirror = os.environ.get(MIRROR_VARIABLE)
    command = ["nice", "mmdebstrap", *options, suite, str(target), *([mirror] if mirror else [])]
    run_logged(command, title="mmdebstrap", log=log)


def _missing(packages: dict[str, str]) -> list[str]:
    return sorted(name for name, evidence in packages.items() if not _there(evidence))


def _install(missing: list[str]) -> None:
    if not shutil.which("apt-get"):
        raise RigError(f"not Debian, and these programs are missing: {', '.join(missing)}")
    log = cache.log_file("apt")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ("-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600")
    with step(f"installing {', '.join(missing)}"), _no_services():
        for command in (
            ["apt-get", "-q", "update"],
            ["apt-get", *options, "install", *missing],
        ):
            run_logged(command, title=" ".join(command[:4]), log=log, environment=environment)


def _there(evidence: str) -> bool:
    if evidence.startswith("/"):
        return Path(evidence).exists()
    return shutil.which(evidence, path=PATH) is not None


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep the packages' own services from starting; an administrator's policy file comes back."""
    kept = POLICY.with_name("policy-rc.d.before-homeserver-e2e")
    if POLICY.exists() and not kept.exists() and POLICY.read_text() != START_NOTHING:
        POLICY.rename(kept)
    POLICY.write_text(START_NOTHING)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if kept.exists():
            kept.rename(POLICY)
        else:
            POLICY.unlink()
