"""One homeserver in the cluster: its resource, its conditions, its pods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from e2e.product.installation import Installation
from e2e.product.kube import Kube, Object, eventually

PROCESS_LABEL = "homeserver-operator.io/process"
GROUP_LABEL = "homeserver-operator.io/group"
ROLE_LABEL = "homeserver-operator.io/role"

CONVERGES = 240.0
"""Seconds for a change to take effect on a small, busy machine."""


@dataclass
class RunningHomeServer:
    """A HomeServer by the resource that its owner keeps."""

    installation: Installation
    resource: Object

    @property
    def kube(self) -> Kube:
        """Its namespace."""
        return self.installation.kube

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.resource["metadata"]["name"])

    @property
    def host(self) -> str:
        """The host name by which clients come in."""
        return str(self.resource["spec"]["ingress"]["host"])

    @property
    def server_name(self) -> str:
        """What its users' names end in."""
        return str(self.resource["spec"]["serverName"])

    def apply(self, resource: Object) -> None:
        """`kubectl apply` of a changed resource; raises KubectlError with the server's words."""
        self.kube.apply(resource)
        self.resource = resource

    def edited(self, edit: Callable[[Object], object]) -> Object:
        """A copy of the resource with its spec changed in place by `edit`."""
        changed = copy.deepcopy(self.resource)
        edit(changed["spec"])
        return changed

    def live(self) -> Object:
        """The resource as the API server has it."""
        return self.kube.get("homeserver", self.name)

    def condition(self, type_: str) -> Object:
        """A condition of the present generation, {} if there is none yet."""
        live = self.live()
        conditions = live.get("status", {}).get("conditions", ())
        return next(
            (
                item
                for item in conditions
                if item["type"] == type_
                and item["observedGeneration"] == live["metadata"]["generation"]
            ),
            {},
        )

    def wait_ready(self, *, seconds: float = CONVERGES) -> None:
        """Wait until the present generation is Ready."""
        self.wait("Ready", "True", seconds=seconds)

    def wait(
        self, type_: str, status: str, reason: str | None = None, *, seconds: float = CONVERGES
    ) -> Object:
        """Wait for a condition of the present generation and return it; raises WaitError."""
        return eventually(
            lambda: self.condition(type_),
            lambda seen: (
                seen.get("status") == status and (reason is None or seen.get("reason") == reason)
            ),
            what=f"{type_}={status} {reason or ''} of {self.name}",
            seconds=seconds,
        )

    def pods(self) -> dict[str, frozenset[str]]:
        """The uids of each process's pods and how often their containers started, by process.

        Pods that are on their way out do not count.
        """
        found: dict[str, frozenset[str]] = {}
        selector = f"homeserver-operator.io/homeserver={self.name}"
        for pod in self.kube.list("pods", selector):
            if "deletionTimestamp" in pod["metadata"]:
                continue
            process = pod["metadata"]["labels"][PROCESS_LABEL]
            restarts = sum(
                status["restartCount"] for status in pod["status"].get("containerStatuses", ())
            )
            identity = f"{pod['metadata']['uid']}/{restarts}"
            found[process] = found.get(process, frozenset()) | {identity}
        return found

    def addresses(self, group: str) -> set[str]:
        """The addresses of a worker group's pods."""
        selector = f"homeserver-operator.io/homeserver={self.name},{GROUP_LABEL}={group}"
        return {pod["status"]["podIP"] for pod in self.kube.list("pods", selector)}


def replaced(before: Mapping[str, frozenset[str]], after: Mapping[str, frozenset[str]]) -> set[str]:
    """Processes that are there still, but with none of the pods that they had (see `pods`)."""
    return {process for process, pods in before.items() if not pods & after[process]}
