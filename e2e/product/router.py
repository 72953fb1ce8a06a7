"""A homeserver's router in the cluster: its pods, what it runs by, and whom it has sent where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from e2e.product.homeserver import CONVERGES, PROCESS_LABEL, RunningHomeServer
from e2e.product.kube import KubectlError, Object, eventually
from e2e.product.requests import HOMESERVER_LABEL

RESOURCE: Final = Path(__file__).with_name("routed.yaml")
PORT: Final = 8080
METRICS_PORT: Final = 8405
AGENT_PORT: Final = 8406
CONFIG_ANNOTATION: Final = "homeserver-operator.io/router-config"
NOTHING: Final = ("", "-")


@dataclass(frozen=True)
class Access:
    """One line of the access log. Words that the router had no answer for are empty.

    `pod` is who answered, `groups` the worker groups of the route class, `hash` what the class is
    spread by and `key` which kind of key the request had for it.
    """

    source: str
    method: str
    path: str
    route_class: str
    groups: str
    pod: str
    hash: str
    key: str
    status: int
    ended: str
    line: str

    @property
    def routed(self) -> bool:
        """Whether it got as far as to a route class; else the router itself has answered."""
        return self.route_class not in NOTHING


def parse(lines: Iterable[str]) -> Iterator[Access]:
    """The requests that the lines of a container's log tell of."""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "class" in entry and "status" in entry:
            yield Access(
                source=entry["source"],
                method=entry["method"],
                path=entry["path"],
                route_class=entry["class"],
                groups=entry["groups"],
                pod=entry["pod"],
                hash=entry["hash"],
                key=entry["key"],
                status=int(entry["status"]),
                ended=entry["ended"],
                line=line,
            )


def services(ingresses: Iterable[Object]) -> set[str]:
    """The names of the Services that Ingresses lead to."""
    return {
        path["backend"]["service"]["name"]
        for ingress in ingresses
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }


def resource() -> Object:
    """A homeserver with a router, small enough for two cores."""
    document: Object = yaml.safe_load(RESOURCE.read_text())
    return document


@dataclass(frozen=True)
class RunningRouter:
    """The router of a homeserver."""

    server: RunningHomeServer

    @property
    def name(self) -> str:
        """The name of its Deployment and of its Service."""
        return f"{self.server.name}-router"

    @property
    def selector(self) -> str:
        """What its pods carry."""
        return f"{HOMESERVER_LABEL}={self.server.name},{PROCESS_LABEL}=router"

    def pods(self) -> list[Object]:
        """Its pods, without those on their way out."""
        pods = self.server.kube.list("pods", self.selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def names(self) -> list[str]:
        """Its pods' names, in order."""
        return sorted(str(pod["metadata"]["name"]) for pod in self.pods())

    def addresses(self) -> dict[str, str]:
        """Each pod's address."""
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in self.pods()}

    def config(self) -> str:
        """The name of the configuration that it is to run by."""
        service = self.server.kube.get("service", self.name)
        return str(service["metadata"]["annotations"][CONFIG_ANNOTATION])

    def state(self, pod: str) -> Object:
        """What a pod's agent says of itself; {} if it does not answer."""
        try:
            found: Object = json.loads(self._get(pod, AGENT_PORT, "state"))
        except (KubectlError, ValueError):
            return {}
        return found

    def unlogged(self, pod: str) -> int:
        """How many lines its HAProxy left out of the log, because nobody read them in time."""
        metrics = self._get(pod, METRICS_PORT, "metrics")
        (found,) = re.findall(r"^haproxy_process_dropped_logs_total (\d+)$", metrics, re.MULTILINE)
        return int(found)

    def _get(self, pod: str, port: int, path: str) -> str:
        kube = self.server.kube
        pods = f"/api/v1/namespaces/{kube.namespace}/pods"
        return kube.run("get", "--raw", f"{pods}/{pod}:{port}/proxy/{path}")

    def wait_settled(self, *, seconds: float = CONVERGES) -> None:
        """Wait until as many pods as wanted are ready, and run by the newest configuration."""
        wanted = self.server.resource["spec"]["router"].get("replicas", 2)
        self.server.kube.run(
            "rollout", "status", f"deployment/{self.name}", f"--timeout={seconds:.0f}s"
        )
        eventually(
            lambda: {pod: self._settled(pod) for pod in self.names()},
            lambda seen: len(seen) == wanted and all(seen.values()),
            what=f"{wanted} routers that run by {self.config()}",
            seconds=seconds,
        )

    def _settled(self, pod: str) -> bool:
        state = self.state(pod)
        return bool(state.get("ready")) and state["configuration"]["running"] == self.config()

    def replace(self, pod: str) -> None:
        """Delete a pod, and wait until another one is ready and this one has gone."""
        self.server.kube.delete("pod", pod, wait=False)
        self.wait_settled()
        self.wait_gone(pod)

    def wait_gone(self, pod: str) -> None:
        """Wait until a pod has finished what it had, and is no more."""
        self.server.kube.run("wait", "--for=delete", f"pod/{pod}", "--timeout=200s")

    def wait_leading(self, leading: bool, *, seconds: float = CONVERGES) -> None:
        """Wait until every Ingress leads to it, or none does."""
        selector = f"{HOMESERVER_LABEL}={self.server.name}"
        eventually(
            lambda: services(self.server.kube.list("ingress", selector)),
            lambda seen: seen == {self.name} if leading else bool(seen) and self.name not in seen,
            what=f"Ingresses that lead {'to' if leading else 'past'} {self.name}",
            seconds=seconds,
        )

    def wait_none(self) -> None:
        """Wait until none of its pods is left; what they had, they finish."""
        self.server.kube.run(
            "wait", "--for=delete", "pod", f"--selector={self.selector}", "--timeout=200s"
        )

    def logs(self, container: str, since: str = "") -> dict[str, list[str]]:
        """The lines of each pod's container, since a time in RFC 3339."""
        bound = [f"--since-time={since}"] if since else []
        return {
            pod: self.server.kube.run(
                "logs", pod, "-c", container, *bound, check=False
            ).splitlines()
            for pod in self.names()
        }

    def access(self, since: str = "") -> dict[str, list[Access]]:
        """What each pod's access log tells, since a time in RFC 3339."""
        return {pod: [*parse(lines)] for pod, lines in self.logs("haproxy", since).items()}

    def restarts(self) -> dict[str, int]:
        """How often each pod's containers, sidecars too, have been started again."""
        return {
            pod["metadata"]["name"]: sum(
                status["restartCount"]
                for kind in ("containerStatuses", "initContainerStatuses")
                for status in pod["status"].get(kind, ())
            )
            for pod in self.pods()
        }
