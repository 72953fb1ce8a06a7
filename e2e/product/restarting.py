"""The ways in which all processes of a homeserver are restarted, each until it is over.

Waits by kubectl's own watches, because whatever looks again and again takes from two cores what
clients need.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from e2e.cluster.progress import say
from e2e.product.homeserver import RunningHomeServer
from e2e.product.installation import OPERATOR_SELECTOR, RELEASE
from e2e.product.kube import KubectlError, Object, eventually
from e2e.product.requests import HOMESERVER_LABEL, SYNAPSE_PODS

LONGEST = 300.0
ALONE = 60.0
"""Seconds that Kubernetes alone is given: new pods wait for the old ones, and these for the new."""

NAMES = ("persister", "keeper")
"""Of the group of event persisters, in turn: under another name its list is another one."""

_OPERATOR = f"deployment/{RELEASE}"


@dataclass(frozen=True)
class Restarts:
    """All restarts of one homeserver. Each returns once it is over; raises KubectlError."""

    server: RunningHomeServer

    def switch(self) -> None:
        """Rename the event persisters: everybody restarts, together, in a new epoch."""
        self.server.apply(self.server.edited(rename))
        self.wait_ready()

    def rollout(self) -> None:
        """`kubectl rollout restart` of all Deployments, while the operator watches."""
        deployments = self._restart_all()
        self._rolled_out(deployments, LONGEST)
        self.wait_ready()

    def alone(self) -> None:
        """The same without an operator, until all are over or for a bounded time."""
        try:
            self._rolled_out(self._restart_all(), ALONE)
        except KubectlError:
            say(f"    not over after {ALONE:.0f} s: pods wait for those whom they replace")

    def naive(self) -> None:
        """Without an operator, stop everybody, and start everybody once nobody is left.

        Nobody is warm then, and nobody listens meanwhile. The fences stay: they are in the image.
        """
        kube = self.server.kube
        replicas = {
            f"deployment/{item['metadata']['name']}": item["spec"]["replicas"]
            for item in kube.list("deployments", self._selector)
        }
        try:
            kube.run("scale", *replicas, "--replicas=0")
            kube.run(
                *("wait", "--for=delete", "pod", f"--selector={self._selector}"),
                f"--timeout={LONGEST:.0f}s",
            )
        finally:
            for count in sorted(set(replicas.values())):
                alike = (name for name, wanted in replicas.items() if wanted == count)
                kube.run("scale", *alike, f"--replicas={count}")
        self._rolled_out(list(replicas), LONGEST)

    def stop_operator(self) -> None:
        """Scale it to none and wait until it is gone."""
        operator = self.server.installation.operator
        operator.run("scale", _OPERATOR, "--replicas=0")
        operator.run(
            *("wait", "--for=delete", "pod", f"--selector={OPERATOR_SELECTOR}"),
            f"--timeout={LONGEST:.0f}s",
        )

    def start_operator(self) -> None:
        """Start it again and wait until it has put right what it found."""
        operator = self.server.installation.operator
        operator.run("scale", _OPERATOR, "--replicas=1")
        operator.run("rollout", "status", _OPERATOR, f"--timeout={LONGEST:.0f}s")
        self._rolled_out(self._deployments(), LONGEST)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the operator says so of the present generation; raises RigError."""
        self.server.installation.wait_ready(self.server.name, seconds=int(LONGEST))

    def wait_alone(self) -> None:
        """Wait until no pod is left of those that were replaced; raises WaitError."""
        eventually(
            lambda: self.server.kube.run(
                *("get", "pods", f"--selector={self._selector}", "--no-headers"),
                "--output=custom-columns=D:.metadata.deletionTimestamp",
            ),
            lambda told: set(told.split()) == {"<none>"},
            what="the end of all pods that were replaced",
            seconds=LONGEST,
        )

    def processes(self) -> int:
        """How many pods of Synapse's there are to be."""
        deployments = self.server.kube.list("deployments", self._selector)
        return sum(item["spec"]["replicas"] for item in deployments)

    def _restart_all(self) -> list[str]:
        deployments = self._deployments()
        self.server.kube.run("rollout", "restart", *deployments)
        return deployments

    def _rolled_out(self, deployments: list[str], seconds: float) -> None:
        """Wait until each has all its pods of its newest template, and they are ready."""
        deadline = time.monotonic() + seconds
        for deployment in deployments:
            left = max(deadline - time.monotonic(), 1)
            self.server.kube.run("rollout", "status", deployment, f"--timeout={left:.0f}s")

    def _deployments(self) -> list[str]:
        told = self.server.kube.run(
            "get", "deployments", f"--selector={self._selector}", "--output=name"
        )
        return told.split()

    @property
    def _selector(self) -> str:
        return f"{HOMESERVER_LABEL}={self.server.name},{SYNAPSE_PODS}"


def rename(spec: Object) -> None:
    """Give the event persisters their other name, in place."""
    group = next(item for item in spec["workers"] if item["name"] in NAMES)
    group["name"] = NAMES[1 - NAMES.index(group["name"])]
