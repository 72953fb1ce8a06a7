"""The agent's process against a real API server, with the rights that the operator gives it."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.agent.rig import ROUTER, files

from crds.tests.kubectl import Kubectl
from e2e.cluster import haproxy
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.apiserver, pytest.mark.haproxy]

NAMESPACE = "chat"

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "alpha-router"},
    "rules": [
        {
            "apiGroups": [""],
            "resources": ["services"],
            "resourceNames": ["alpha-router"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["alpha-router-1", "alpha-router-slots"],
            "verbs": ["get"],
        },
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["alpha-router-slots"],
            "verbs": ["patch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["get", "list", "watch"],
        },
    ],
}


def until(condition: Callable[[], object], *, seconds: float = 30.0) -> float:
    """Wait for the condition; return how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not come true in time"
        time.sleep(0.02)
    return time.monotonic() - started


@dataclass
class AgentProcess:
    """One agent as its container runs it."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def http(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def pods(self) -> dict[str, str]:
        """The pods by slot, as it would have them."""
        status, text = self.http("/state")
        backends: Any = json.loads(text)["backends"] if status == 200 else {}
        return dict(backends.get("sync", {}).get("pods", {}))

    def resident(self) -> int:
        """Resident memory in kB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane(controller_manager=True) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """A cluster with the router's objects and those of three workers."""
    client = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
    subject = {"kind": "ServiceAccount", "name": "alpha-router", "namespace": NAMESPACE}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "alpha-router"}
    objects = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "somewhere"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "alpha-router"}},
        ROLE,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "alpha-router"},
            "subjects": [subject],
            "roleRef": ref,
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "alpha-router-slots"}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "alpha-router-1"},
            "data": files(8080),
            "immutable": True,
        },
        _service("alpha-router", {"homeserver-operator.io/router-config": "alpha-router-1"}),
        _service("alpha-sync"),
        _workers(3),
    ]
    client.run("create", "namespace", NAMESPACE)
    for each in objects:
        client.run("create", f"--namespace={NAMESPACE}", "--filename=-", text=json.dumps(each))
    return client


def serve(kubectl: Kubectl) -> None:
    """Give an address to each pod that has none, and make it ready: there is no kubelet."""
    for pod in kubectl.get("pods", f"--namespace={NAMESPACE}")["items"]:
        status, name = pod["status"], pod["metadata"]["name"]
        if "podIP" not in status:
            ip = f"10.1.0.{next(_NUMBERS)}"
            ready = [{"type": "Ready", "status": "True"}]
            patch = {"status": {"podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready}}
            kubectl.run(
                *("patch", "pod", name, f"--namespace={NAMESPACE}", "--subresource=status"),
                *("--type=merge", f"--patch={json.dumps(patch)}"),
            )


_NUMBERS = itertools.count(1)


def _service(name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "labels": {"homeserver-operator.io/homeserver": "alpha"},
            "annotations": annotations or {},
        },
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 8008, "targetPort": "http"}],
        },
    }


def _workers(replicas: int) -> dict[str, Any]:
    container = {
        "name": "synapse",
        "image": "none",
        "ports": [{"name": "http", "containerPort": 8008}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "alpha-sync"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "alpha-sync"}},
            "template": {
                "metadata": {"labels": {"app": "alpha-sync"}},
                "spec": {"containers": [container], "nodeName": "somewhere"},
            },
        },
    }


@pytest.fixture(scope="module")
def credentials(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("credentials")
    token = kubectl.run("create", "token", "alpha-router", f"--namespace={NAMESPACE}")
    (folder / "token").write_text(token)
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    (folder / "ca.crt").write_bytes(base64.b64decode(authority))
    return folder


@contextlib.contextmanager
def agent(
    control_plane: ControlPlane, credentials: Path, folder: Path, name: str
) -> Iterator[AgentProcess]:
    programs, run, log = folder / f"{name}-bin", folder / name, folder / f"{name}.log"
    programs.mkdir()
    run.mkdir()
    (programs / "haproxy").symlink_to(haproxy.program(haproxy.SHIPPED))
    port = free_port()
    server = urlsplit(control_plane.url)
    flags = [f"--directory={run}", f"--credentials={credentials}", f"--port={port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "homeserver_router", "agent", *flags],
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROUTER),
                "PYTHONUNBUFFERED": "1",
                "MALLOC_ARENA_MAX": "2",
                "HOMESERVER_NAMESPACE": NAMESPACE,
                "HOMESERVER_NAME": "alpha",
                "POD_NAME": name,
                "KUBERNETES_SERVICE_HOST": str(server.hostname),
                "KUBERNETES_SERVICE_PORT": str(server.port),
            },
            stdout=out,
            stderr=out,
        )
    try:
        yield AgentProcess(process, port, log)
    finally:
        process.kill()
        process.wait()


def test_two_agents_follow_a_real_cluster_and_agree(
    control_plane: ControlPlane, kubectl: Kubectl, credentials: Path, tmp_path: Path
) -> None:
    def scale(replicas: int) -> None:
        flags = (f"--namespace={NAMESPACE}", f"--replicas={replicas}")
        kubectl.run("scale", "deployment", "alpha-sync", *flags)

    def ledger() -> dict[str, int]:
        data = kubectl.get("configmap", "alpha-router-slots", f"--namespace={NAMESPACE}").get(
            "data"
        )
        slots: dict[str, int] = json.loads((data or {}).get("alpha-sync", '{"slots":{}}'))["slots"]
        return slots

    with (
        agent(control_plane, credentials, tmp_path, "router-0") as first,
        agent(control_plane, credentials, tmp_path, "router-1") as second,
    ):

        def settled(count: int) -> bool:
            serve(kubectl)
            return len(first.pods()) == count and first.pods() == second.pods()

        until(lambda: settled(3))
        before = ledger()
        assert sorted(before.values()) == [1, 2, 3]
        assert {pod: int(slot) for slot, pod in first.pods().items()} == before
        assert (tmp_path / "router-0/current/haproxy.cfg").is_file()

        scale(5)
        until(lambda: settled(5))
        assert before.items() <= ledger().items()

        gone = next(iter(before))
        kubectl.run("delete", "pod", gone, f"--namespace={NAMESPACE}", "--force", "--wait=false")
        until(lambda: settled(5) and gone not in first.pods().values())
        assert first.pods()[str(before[gone])] not in before

        # An API server that has just started may not know of any rights yet.
        refused = 'homeserver_router_api_errors_total{code="403"'
        assert refused not in first.http("/metrics")[1]
        control_plane.stop_api_server()
        assert len(first.pods()) == 5
        control_plane.start_api_server()
        scale(2)
        until(lambda: settled(2), seconds=90)
        scale(3)
        until(lambda: settled(3))

        # HAProxy does not run here, and that is what the probe says.
        status, reason = first.http("/ready")
        assert (status, "HAProxy does not answer" in reason) == (503, True)
        assert first.http("/live")[0] == 200
        assert first.resident() < 48_000
        first.process.send_signal(signal.SIGUSR1)
        assert first.process.wait(10) == 0
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(10) == 0
        text = first.log.read_text() + second.log.read_text()
        assert (credentials / "token").read_text().strip() not in text
        assert all("message" in json.loads(line) for line in text.splitlines())
