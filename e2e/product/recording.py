"""The recorder in the cluster: what homeservers have reported to it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from e2e.product.kube import Kube, Object
from e2e.product.objects import confined_pod
from e2e.product.recorder import HTTP_PORT, SMTP_PORT

NAME = "recorder"
TRANSACTIONS = "/_matrix/app/v1/transactions/"
PROGRAM = Path(__file__).with_name("recorder.py")


@dataclass(frozen=True)
class Record:
    """One report: the path (or "mail"), the address of the pod that sent it, the content."""

    path: str
    sender: str
    content: Object


@dataclass(frozen=True)
class Recording:
    """The recorder in a namespace. Homeservers there reach it by its name."""

    kube: Kube

    @property
    def url(self) -> str:
        """Where it takes HTTP requests; mail goes to the same host."""
        return f"http://{NAME}:{HTTP_PORT}"

    def start(self) -> None:
        """Begin with nothing recorded, and wait until it takes reports."""
        self.stop()
        program = {"recorder.py": PROGRAM.read_text()}
        ports = [
            {"name": "http", "port": HTTP_PORT},
            {"name": "smtp", "port": SMTP_PORT},
        ]
        self.kube.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(), "data": program},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": _meta(),
                "spec": {"selector": {"app": NAME}, "ports": ports},
            },
            {"apiVersion": "v1", "kind": "Pod", "metadata": _meta(), "spec": self._pod()},
        )
        self.kube.run("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=120s")

    def stop(self) -> None:
        """Take it away."""
        self.kube.run("delete", "pod,service,configmap", NAME, "--ignore-not-found")

    def received(self, path: str) -> list[Record]:
        """All reports so far whose path begins so, in the order of arrival."""
        service = f"/api/v1/namespaces/{self.kube.namespace}/services/{NAME}:{HTTP_PORT}"
        records = json.loads(self.kube.run("get", "--raw", f"{service}/proxy/"))
        return [Record(**record) for record in records if record["path"].startswith(path)]

    def registration(self, **namespaces: list[Object]) -> Object:
        """With a homeserver it is an application service by this, for what is in the namespaces."""
        return {
            "id": NAME,
            "url": self.url,
            "as_token": secrets.token_urlsafe(24),
            "hs_token": secrets.token_urlsafe(24),
            "sender_localpart": NAME,
            "namespaces": namespaces,
            "rate_limited": False,
        }

    def transactions(self) -> dict[str, Record]:
        """What it has been sent as an application service; what came twice under one id, once."""
        return {record.path: record for record in self.received(TRANSACTIONS)}

    def _pod(self) -> Object:
        container = {
            "name": NAME,
            "image": self.kube.cluster.images["runtime"],
            "command": ["python", "/program/recorder.py"],
            "readinessProbe": {"httpGet": {"path": "/", "port": HTTP_PORT}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        }
        return confined_pod(container, [{"name": "program", "configMap": {"name": NAME}}])


def _meta() -> Object:
    return {"name": NAME, "labels": {"app": NAME}}
