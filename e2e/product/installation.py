"""The operator in the cluster by Helm, and a HomeServer that becomes ready."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from e2e.cluster import api, bringup, debian
from e2e.cluster.api import Cluster
from e2e.cluster.instance import Instance
from e2e.cluster.progress import RigError
from e2e.product.kube import Kube, KubectlError, Object

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "helm"
EXAMPLE = REPOSITORY / "examples" / "homeserver.yaml"
RELEASE = "homeserver-operator"
OPERATOR_NAMESPACE = "homeserver-operator"
OPERATOR_SELECTOR = "app.kubernetes.io/name=homeserver-operator"


IMAGES = ("operator", "runtime", "router", "postgres", "redis")


def ready_cluster() -> Cluster:
    """The cluster with all images of the present sources; brought up if it is the rig's own.

    Raises RigError.
    """
    os.environ["PATH"] = debian.PATH
    if api.is_own():
        bringup.up(Instance.from_environment())
    api.ensure_images(*IMAGES)
    return api.cluster()


@dataclass(frozen=True)
class Installation:
    """The operator's release, watching one namespace that holds homeservers."""

    cluster: Cluster
    namespace: str

    @property
    def kube(self) -> Kube:
        """The homeservers' namespace."""
        return Kube(self.cluster, self.namespace)

    @property
    def operator(self) -> Kube:
        """The operator's own namespace."""
        return Kube(self.cluster, OPERATOR_NAMESPACE)

    def install(self) -> None:
        """Install or upgrade the release and wait until its operator is ready."""
        self._namespace(OPERATOR_NAMESPACE)
        self._namespace(self.namespace)
        images = self.cluster.images
        values = {
            "images": {
                "operator": {"image": images["operator"]},
                "runtime": {"image": images["runtime"]},
                "router": {"image": images["router"]},
                "postgres": {"image": images["postgres"]},
                "redis": {"image": images["redis"]},
            },
            "watchNamespaces": [self.namespace],
        }
        self.helm(
            "upgrade", "--install", RELEASE, str(CHART), "--values=-", "--wait", "--timeout=5m",
            text=yaml.safe_dump(values),
        )  # fmt: skip

    def uninstall(self) -> None:
        """Remove the release; the CRD and the HomeServers stay."""
        self.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")

    def helm(self, *arguments: str, text: str | None = None) -> str:
        """Run helm in the operator's namespace; raises RigError with its words."""
        command = [
            str(self.cluster.helm),
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={OPERATOR_NAMESPACE}",
            *arguments,
        ]
        result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RigError(f"helm {arguments[0]} failed: {result.stderr.strip()}")
        return result.stdout

    def wait_ready(self, name: str, *, seconds: int = 300) -> None:
        """Wait as users do; raises RigError with the homeserver's own words."""
        try:
            self.kube.run(
                "wait", f"homeserver/{name}", "--for=condition=Ready", f"--timeout={seconds}s"
            )
        except KubectlError as error:
            raise RigError(f"{error}\n{self.explain(name)}") from error

    def explain(self, name: str) -> str:
        """What a person would look at when a homeserver is not ready."""
        server = self.kube.find("homeserver", name) or {}
        conditions = [
            f"  {item['type']}={item['status']} {item['reason']}: {item['message']}"
            for item in server.get("status", {}).get("conditions", ())
        ]
        pods = self.kube.run("get", "pods", "-o", "wide", check=False)
        return "\n".join([*conditions, pods])

    def _namespace(self, name: str) -> None:
        """A namespace that enforces the strictest standard for pods."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        )


def example() -> Object:
    """The example HomeServer of the repository."""
    document: Object = yaml.safe_load(EXAMPLE.read_text())
    return document
