"""What tests, benchmarks and demonstrations may know of the cluster that they run against.

It is the rig's own, or, with HOMESERVER_E2E_CLUSTER=current, the one of the current kube context.
What only the rig can offer is None elsewhere, so that a test can say why it is skipped.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import addons, gobuild, images
from e2e.cluster.bringup import Cluster as LocalCluster
from e2e.cluster.bringup import images as build_and_import
from e2e.cluster.instance import Instance
from e2e.cluster.progress import RigError

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER_VARIABLE = "HOMESERVER_E2E_CLUSTER"
REGISTRY_VARIABLE = "HOMESERVER_E2E_REGISTRY"
INGRESS_VARIABLE = "HOMESERVER_E2E_INGRESS"
DOMAIN_VARIABLE = "HOMESERVER_E2E_DOMAIN"
CURRENT = "current"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Paths and addresses; `images` maps a name such as ``runtime`` to what a pod names.

    They are the images of the present sources: `ensure_images` sees to it that the cluster has
    them. Names under `domain` lead pods to the ingress controller.
    """

    kubeconfig: Path
    kubectl: Path
    helm: Path
    ingress: str
    images: Mapping[str, str]
    domain: str | None = None
    audit_log: Path | None = None
    access_log: Path | None = None
    logs: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return what a shell needs to use the cluster; PATH is what goes in front of its own."""
        optional = {
            DOMAIN_VARIABLE: self.domain,
            "HOMESERVER_E2E_AUDIT_LOG": self.audit_log,
            "HOMESERVER_E2E_ACCESS_LOG": self.access_log,
            "HOMESERVER_E2E_LOGS": self.logs,
        }
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": ":".join(dict.fromkeys((str(self.kubectl.parent), str(self.helm.parent)))),
            INGRESS_VARIABLE: self.ingress,
            **{name: str(value) for name, value in optional.items() if value},
            **{f"HOMESERVER_E2E_IMAGE_{k.upper()}": ref for k, ref in self.images.items()},
        }


def is_own() -> bool:
    """Tell whether the cluster is the rig's, to be brought up and taken down at will."""
    return os.environ.get(CLUSTER_VARIABLE) != CURRENT


def cluster() -> Cluster:
    """Return the cluster to use; raises RigError, with the remedy, if there is none."""
    if not is_own():
        return _current()
    instance = Instance.from_environment()
    if not instance.ready_marker.exists():
        raise RigError("no cluster is up; bring one up with: python3 -m e2e.cluster up")
    local = LocalCluster.of(instance)
    return Cluster(
        kubeconfig=local.server.admin_kubeconfig,
        kubectl=local.server.programs / "kubectl",
        helm=gobuild.binaries(gobuild.TOOLS) / "helm",
        ingress=instance.node_address,
        images={
            name: images.reference(image)
            for name, image in images.IMAGES.items()
            if image.pushed and image.available
        },
        domain=addons.DOMAIN,
        audit_log=local.server.audit_log,
        access_log=instance.access_log,
        logs=instance.logs,
    )


def ensure_images(*names: str) -> dict[str, str]:
    """Make images of the present sources available to the cluster and return their references.

    Builds and imports what is not there yet; in a cluster that is not the rig's, they must have
    been pushed. Raises RigError if one cannot be built.
    """
    if not is_own():
        return {name: cluster().images[name] for name in names}
    references = build_and_import(Instance.from_environment(), names)
    missing = sorted(set(names) - set(references))
    if missing:
        raise RigError(f"no Containerfile yet for: {', '.join(missing)}")
    return references


def another_name(name: str) -> str | None:
    """Return another name of the same image in the rig's own cluster: an upgrade without news."""
    if not is_own():
        return None
    local = LocalCluster.of(Instance.from_environment())
    return local.name_again(images.IMAGES[name], "again")


def kill_container(identity: str) -> None:
    """Kill a container's processes at once, in the rig's own cluster; the kubelet starts it anew.

    Raises RigError if there is no such container.
    """
    local = LocalCluster.of(Instance.from_environment())
    local.kill(identity)


def _current() -> Cluster:
    registry = _required(REGISTRY_VARIABLE, "the registry that `images --push` was given")
    kubeconfig = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
    return Cluster(
        kubeconfig=Path(kubeconfig),
        kubectl=Path(shutil.which("kubectl") or gobuild.binaries(gobuild.KUBERNETES) / "kubectl"),
        helm=Path(shutil.which("helm") or gobuild.binaries(gobuild.TOOLS) / "helm"),
        ingress=_required(INGRESS_VARIABLE, "the address of the ingress controller"),
        images={
            name: images.pushed_reference(image, registry)
            for name, image in images.IMAGES.items()
            if image.pushed and image.available
        },
        domain=os.environ.get(DOMAIN_VARIABLE),
    )


def _required(variable: str, meaning: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise RigError(f"{CLUSTER_VARIABLE}={CURRENT} needs {variable}: {meaning}")
    return value
