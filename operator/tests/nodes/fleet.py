"""A homeserver's pods on nodes that KWOK pretends; who places and evicts them is real."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import yaml
from tests.core import case

from crds.tests.kubectl import Kubectl
from e2e.cluster.progress import wait_until
from homeserver_operator.api.names import PROCESS_LABEL, WORKER_GROUP_LABEL
from homeserver_operator.api.world import Object

SECONDS = 30

HOMESERVER = yaml.safe_load("""
apiVersion: homeserver-operator.io/v1alpha1
kind: HomeServer
metadata: {name: herd}
spec:
  serverName: herd.example
  workers:
    - name: reader
      serves: [sync]
      replicas: 4
      resources: {requests: {cpu: 5, memory: 10Gi}}
    - name: writer
      writes: [events]
      replicas: 3
      resources: {requests: {cpu: 1, memory: 2Gi}}
    - {name: single, writes: [typing]}
""")
MANIFESTS = case.build_all(case.Case("fleet", case.as_stored(HOMESERVER), {}))
NAMESPACE = MANIFESTS.access[0]["metadata"]["namespace"]
IN_NAMESPACE = f"--namespace={NAMESPACE}"
DEPLOYMENTS = (*MANIFESTS.stores, *MANIFESTS.synapse.values())
BUDGETS = [each for each in MANIFESTS.policies if each["kind"] == "PodDisruptionBudget"]
PROCESSES = Counter(
    {each["metadata"]["labels"][PROCESS_LABEL]: each["spec"]["replicas"] for each in DEPLOYMENTS}
)

ROOMY, *BUSY = NODES = ("roomy", "busy-1", "busy-2", "busy-3")


def nodes() -> list[dict[str, Any]]:
    """Four, of which a reader and a writer fill a busy one; all but spread speaks for the roomy."""
    roomy = {"cpu": "100", "memory": "200Gi", "pods": "100"}
    busy = {"cpu": "6", "memory": "12Gi", "pods": "100"}
    image = {"names": [case.DEFAULTS.image], "sizeBytes": 1_000_000_000}
    return [
        _node(ROOMY, {"capacity": roomy, "allocatable": roomy, "images": [image]}),
        *(_node(name, {"capacity": busy, "allocatable": busy}) for name in BUSY),
    ]


def _node(name: str, status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}


def disks() -> list[dict[str, Any]]:
    """One for each of the homeserver's claims, which any node reaches."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": claim["metadata"]["name"]},
            "spec": {
                "capacity": claim["spec"]["resources"]["requests"],
                "accessModes": claim["spec"]["accessModes"],
                "hostPath": {"path": "/nowhere"},
            },
        }
        for claim in MANIFESTS.volumes
    ]


@dataclass(frozen=True)
class Fleet:
    """The nodes and what runs there."""

    kubectl: Kubectl

    def prepare(self) -> None:
        """Make the nodes, and what outlives the pods."""
        self._apply(*nodes(), *disks())
        wait_until(self._nodes_are_open, what="nodes that take pods", seconds=SECONDS)
        self.kubectl.run("create", "namespace", NAMESPACE)
        self._apply(*MANIFESTS.access, *MANIFESTS.volumes)

    def deploy(self) -> None:
        """Run the homeserver."""
        self._apply(*BUDGETS, *DEPLOYMENTS)
        self.settle()

    def clear(self) -> None:
        """Leave empty nodes that take pods."""
        self.kubectl.run("uncordon", *NODES)
        self.kubectl.run("delete", "poddisruptionbudgets", "--all", IN_NAMESPACE)
        self.kubectl.run("scale", "deployments", "--all", "--replicas=0", IN_NAMESPACE)
        self.kubectl.run("wait", "pods", "--all", "--for=delete", IN_NAMESPACE)

    def settle(self) -> None:
        """Wait until every process has its pods and every budget allows an eviction."""
        wait_until(self._settled, what="all pods", seconds=SECONDS)

    def pods(self, group: str = "") -> dict[str, Object]:
        """The ready pods by name, of one group or of all, without those that are on their way out.

        A pod that was evicted counts no more from the moment of the answer.
        """
        selector = f"--selector={WORKER_GROUP_LABEL}={group}" if group else "--selector="
        found = self.kubectl.get("pods", IN_NAMESPACE, selector)["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and _condition(pod, "Ready")
        }

    def evict(self, pod: str) -> str:
        """Ask for an eviction; what the API server has against it, or nothing."""
        name = {"name": pod, "namespace": NAMESPACE}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name}
        address = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
        text = json.dumps(body)
        return self.kubectl.attempt(
            "create", f"--raw={address}", "--filename=-", text=text
        ).stderr.strip()

    def spoil(self, pod: str) -> None:
        """Let a pod run on that is ready no more, and wait until its group's budget knows."""
        status = {"conditions": [{"type": "Ready", "status": "False"}]}
        patch = json.dumps({"status": status})
        flags = (IN_NAMESPACE, "--subresource=status")
        self.kubectl.run("patch", "pod", pod, *flags, f"--patch={patch}")
        wait_until(lambda: 0 in self._allowed(), what="a budget that is used up", seconds=SECONDS)

    def _apply(self, *objects: Object) -> None:
        # Of the HomeServer itself, with which they would go, nobody needs to know here.
        text = "\n".join(json.dumps(_without_owner(each)) for each in objects)
        self.kubectl.run("apply", "--server-side", "--force-conflicts", "--filename=-", text=text)

    def _nodes_are_open(self) -> bool:
        found = self.kubectl.get("nodes")["items"]
        return all(_condition(node, "Ready") and "taints" not in node["spec"] for node in found)

    def _settled(self) -> bool:
        ready = Counter(pod["metadata"]["labels"][PROCESS_LABEL] for pod in self.pods().values())
        return ready == PROCESSES and 0 not in self._allowed()

    def _allowed(self) -> list[int]:
        """How many evictions each budget allows; 0 until a controller has counted."""
        found = self.kubectl.get("poddisruptionbudgets", IN_NAMESPACE)["items"]
        return [budget.get("status", {}).get("disruptionsAllowed", 0) for budget in found]


def _condition(live: Object, name: str) -> bool:
    conditions = live.get("status", {}).get("conditions", ())
    return any((each["type"], each["status"]) == (name, "True") for each in conditions)


def _without_owner(wanted: Object) -> dict[str, Any]:
    metadata = {k: v for k, v in wanted["metadata"].items() if k != "ownerReferences"}
    return {**wanted, "metadata": metadata}
