"""An HAProxy with ordinary health checks in front of a homeserver's pods, at a host of its own.

It stands where the operator's router would: behind the same Ingress controller. It follows the pods
by DNS, as whoever has no operator lets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from e2e.product.homeserver import GROUP_LABEL, RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.kube import Object
from e2e.product.objects import config_map, confined_pod
from e2e.product.ordinary_config import PORT, SYNAPSE_PORT, configuration, members
from e2e.product.requests import HOMESERVER_LABEL

NAME: Final = "ordinary-haproxy"
STARTS: Final = 120.0


@dataclass(frozen=True)
class Ordinary:
    """The HAProxy for one homeserver."""

    server: RunningHomeServer

    @property
    def host(self) -> str:
        """The host name by which clients come in through it."""
        return f"ordinary.{self.server.host}"

    def start(self) -> None:
        """Make it and wait until it answers; raises KubectlError or WaitError."""
        self.server.kube.apply(*self.objects())
        self.server.kube.run("rollout", "status", f"deployment/{NAME}", f"--timeout={STARTS:.0f}s")
        wait_answering(self.server.installation.cluster.ingress, self.host)

    def stop(self) -> None:
        """Take it away, and wait until it is gone."""
        kinds = "ingress,deployment,service,configmap"
        self.server.kube.run("delete", kinds, f"--selector=app={NAME}")
        self.server.kube.run(
            *("wait", "--for=delete", "pod", f"--selector=app={NAME}"),
            f"--timeout={STARTS:.0f}s",
        )

    def objects(self) -> list[Object]:
        """All that it consists of."""
        spec = self.server.resource["spec"]
        suffix = f".{self.server.kube.namespace}.svc.cluster.local"
        groups = members(spec)
        text = configuration(spec, f"-{NAME}{suffix}")
        made = [
            config_map(NAME, {"haproxy.cfg": text}),
            *(self._pods_of(group) for group in groups),
            _service(NAME, {"app": NAME}, PORT),
            self._deployment(),
            self._ingress(spec["ingress"]["className"]),
        ]
        for each in made:
            each["metadata"]["labels"] = {"app": NAME}
        return made

    def _pods_of(self, group: str) -> Object:
        """A name that resolves to the addresses of a group's ready pods."""
        selector = {HOMESERVER_LABEL: self.server.name, GROUP_LABEL: group}
        return _service(f"{group}-{NAME}", selector, SYNAPSE_PORT, clusterIP="None")

    def _deployment(self) -> Object:
        container = {
            "name": "haproxy",
            "image": self.server.installation.cluster.images["router"],
            "command": ["haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"],
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/haproxy"}],
        }
        volumes = [{"name": "config", "configMap": {"name": NAME}}]
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME},
            "spec": {
                "selector": {"matchLabels": {"app": NAME}},
                "template": {
                    "metadata": {"labels": {"app": NAME}},
                    "spec": confined_pod(container, volumes),
                },
            },
        }

    def _ingress(self, controller: str) -> Object:
        backend = {"service": {"name": NAME, "port": {"number": PORT}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": NAME},
            "spec": {
                "ingressClassName": controller,
                "rules": [{"host": self.host, "http": {"paths": [path]}}],
            },
        }


def _service(name: str, selector: dict[str, str], port: int, **more: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": port}], **more},
    }
