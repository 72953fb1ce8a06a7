"""Many HomeServers on a control plane without nodes, each in a namespace of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from e2e.bench.machine import REPOSITORY
from e2e.bench.operator_process import OperatorProcess
from e2e.cluster import audit
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import RigError, wait_until
from e2e.product.installation import example

CRD_FILE = REPOSITORY / "crds" / "homeservers.yaml"
WRITES = frozenset({"create", "update", "patch", "delete"})
REQUESTS = "homeserver_operator_api_requests_total"
CALM = 10.0
"""Seconds without a write of the operator's after which everybody counts as settled."""

SETTLES = 900.0


@dataclass(frozen=True)
class Crowd:
    """The HomeServers of one control plane: copies of the example, whose pods find no node."""

    control_plane: ControlPlane

    def prepare(self) -> None:
        """Install the CRD."""
        self.kubectl("apply", "--server-side", f"--filename={CRD_FILE}")
        # `kubectl wait` fails on a CRD that has no conditions yet.
        wait_until(self._established, what="the CRD", seconds=30)

    def add(self, numbers: range) -> None:
        """Create these HomeServers and their namespaces."""
        server = example()
        objects: list[dict[str, Any]] = []
        for number in numbers:
            name = self.namespace(number)
            objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            metadata = {**server["metadata"], "namespace": name}
            # One host can lead to one only.
            ingress = {**server["spec"]["ingress"], "host": f"{name}.example.org"}
            spec = {**server["spec"], "ingress": ingress}
            objects.append({**server, "metadata": metadata, "spec": spec})
        self.kubectl("create", "--filename=-", text=yaml.safe_dump_all(objects))

    def scale_sync(self, number: int, replicas: int) -> float:
        """Scale the group `sync` of one HomeServer; seconds until its Deployment says so."""
        flag = f"--namespace={self.namespace(number)}"
        groups = example()["spec"]["workers"]
        index = next(i for i, group in enumerate(groups) if group["name"] == "sync")
        change = [{"op": "replace", "path": f"/spec/workers/{index}/replicas", "value": replicas}]
        started = time.monotonic()
        self.kubectl("patch", "homeserver/example", "--type=json", "-p", json.dumps(change), flag)
        self.kubectl(
            *("wait", "deployment/example-sync", flag, f"--timeout={SETTLES:.0f}s"),
            f"--for=jsonpath={{.spec.replicas}}={replicas}",
        )
        return time.monotonic() - started

    def settle(self, operator: OperatorProcess, reconciles: int) -> None:
        """Wait until the operator has finished so many reconciles and written nothing for a while.

        It never ends looking: controllers go on saying that the pods have no node. Raises RigError.
        """
        deadline = time.monotonic() + SETTLES
        seen, since = -1.0, time.monotonic()
        while (
            time.monotonic() - since < CALM
            or operator.sample("homeserver_operator_reconcile_total") < reconciles
        ):
            if time.monotonic() > deadline:
                raise RigError(f"the operator is not done after {SETTLES:.0f} s")
            if (now := operator.sample(REQUESTS, 'verb="apply"', 'verb="delete"')) != seen:
                seen, since = now, time.monotonic()
            time.sleep(1)

    def writes(self) -> Iterator[tuple[str, str]]:
        """Verb and resource of the operator's writes so far, its Lease aside."""
        for entry in audit.entries(self.control_plane.audit_log):
            target = entry.get("objectRef", {})
            if (
                entry["verb"] in WRITES
                and entry.get("userAgent", "").startswith("homeserver-operator")
                and target.get("resource") != "leases"
            ):
                yield entry["verb"], target.get("resource", "")

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as an administrator; raises RigError with its words."""
        control_plane = self.control_plane
        command = [str(control_plane.kubectl), f"--kubeconfig={control_plane.kubeconfig}"]
        result = subprocess.run(
            [*command, *arguments], input=text, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise RigError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def _established(self) -> bool:
        crd = json.loads(self.kubectl("get", "--output=json", f"--filename={CRD_FILE}"))
        conditions = crd.get("status", {}).get("conditions") or ()
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    @staticmethod
    def namespace(number: int) -> str:
        """The namespace of one of them."""
        return f"crowd-{number:04d}"
