"""The operator's process against a real API server: what an imitation cannot prove."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.shell.operator_process import OperatorProcess, operator
from tests.shell.webhook import Patch, webhook

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE, CRD_NAME
from e2e.cluster import audit
from e2e.cluster.controlplane import ControlPlane
from homeserver_operator.api import names
from homeserver_operator.leader import Timing

pytestmark = pytest.mark.apiserver

QUIET = 8.0
"""Seconds without a write after which the operator counts as settled."""


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    client = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
    client.run("apply", "--server-side", f"--filename={CRD_FILE}")
    client.wait_established(CRD_NAME)
    return client


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> str:
    name = f"ns-{abs(hash(request.node.name)) % 10**8}-{time.time_ns() % 10**6}"
    kubectl.run("create", "namespace", name)
    return name


@pytest.fixture
def running(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> Iterator[OperatorProcess]:
    with operator(
        tmp_path, control_plane.kubeconfig, WATCH_NAMESPACES=namespace, POD_NAMESPACE=namespace
    ) as process:
        until(lambda: process.says("leading as"))
        yield process


def until(condition: Callable[[], object], *, seconds: float = 60.0) -> float:
    """Wait for the condition; return how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not come true in time"
        time.sleep(0.05)
    return time.monotonic() - started


def create(kubectl: Kubectl, namespace: str, *several: str) -> None:
    """Create a HomeServer `alpha`, or the named ones."""
    bodies = [
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"serverName": f"{name}.{namespace}.example.org"},
        }
        for name in several or ("alpha",)
    ]
    kubectl.run("create", "--filename=-", text="\n".join(map(json.dumps, bodies)))


def server(kubectl: Kubectl, namespace: str, name: str = "alpha") -> Any:
    return kubectl.get("homeserver", name, f"--namespace={namespace}")


def observed(kubectl: Kubectl, namespace: str, name: str = "alpha") -> bool:
    found = server(kubectl, namespace, name)
    seen = found.get("status", {}).get("observedGeneration")
    return bool(seen == found["metadata"]["generation"])


def writes(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """Writes in the namespace so far, those of the Lease and of kubectl aside."""
    return [
        event
        for event in audit.entries(control_plane.audit_log)
        if event["stage"] == "ResponseComplete"
        and event["verb"] in {"create", "update", "patch", "delete"}
        and event["objectRef"].get("namespace") == namespace
        and event["objectRef"]["resource"] != "leases"
        and event["userAgent"].startswith("homeserver-operator")
    ]


def settle(control_plane: ControlPlane, namespace: str) -> int:
    """Wait until the operator has written nothing for a while; return its writes so far."""
    deadline = time.monotonic() + 90
    count, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET:
        assert time.monotonic() < deadline, "it never stops writing"
        if (now := len(writes(control_plane, namespace))) != count:
            count, since = now, time.monotonic()
        time.sleep(0.2)
    return count


def test_a_new_homeserver_gets_its_objects_and_then_no_more_writes(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, running: OperatorProcess
) -> None:
    create(kubectl, namespace)
    until(lambda: observed(kubectl, namespace))
    count = settle(control_plane, namespace)

    assert kubectl.get("services", f"--namespace={namespace}")["items"]
    assert kubectl.get("configmaps", f"--namespace={namespace}")["items"]
    kubectl.run("annotate", "homeserver", "alpha", "a=b", f"--namespace={namespace}")
    until(lambda: running.sample("homeserver_operator_queue_depth") == 0)
    assert settle(control_plane, namespace) == count
    assert all(event["responseStatus"]["code"] < 400 for event in writes(control_plane, namespace))


def always_pull(deployment: Any) -> Patch:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    path = "/spec/template/spec/containers/{}/imagePullPolicy"
    return [
        {"op": "add", "path": path.format(number), "value": "Always"}
        for number in range(len(containers))
    ]


def test_what_a_webhook_rewrites_is_told_and_not_applied_for_ever(
    control_plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    running: OperatorProcess,
    tmp_path: Path,
) -> None:
    def told() -> dict[str, Any]:
        conditions = server(kubectl, namespace)["status"]["conditions"]
        return {each["type"]: each for each in conditions}

    with webhook(tmp_path / "authority", "deployments", always_pull) as configuration:
        kubectl.run("create", "--filename=-", text=json.dumps(configuration))
        try:
            create(kubectl, namespace)
            until(lambda: observed(kubectl, namespace))
            settle(control_plane, namespace)
            assert told()["Ready"]["reason"] != "Applying"
            field = "spec.template.spec.containers[synapse].imagePullPolicy"
            assert f"Deployment alpha-main: {field}" in told()["FieldsRewritten"]["message"]
        finally:
            kubectl.run("delete", "mutatingwebhookconfiguration", configuration["metadata"]["name"])
    assert running.process.poll() is None


def test_drift_is_repaired_because_the_child_woke_its_owner(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, running: OperatorProcess
) -> None:
    create(kubectl, namespace)
    settle(control_plane, namespace)
    [first, *_] = kubectl.get("services", f"--namespace={namespace}")["items"]
    name = first["metadata"]["name"]
    kubectl.run("delete", "service", name, f"--namespace={namespace}")

    def made_anew() -> bool:
        flags = (f"--namespace={namespace}", "--ignore-not-found", "--output=name")
        return bool(kubectl.run("get", "service", name, *flags))

    assert until(made_anew) < 10


def test_an_outage_of_the_api_server_ends_the_leader_and_its_successor_waits_it_out(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    settings = {"WATCH_NAMESPACES": namespace, "POD_NAMESPACE": namespace}
    create(kubectl, namespace)
    with operator(tmp_path, control_plane.kubeconfig, **settings) as first:
        until(lambda: observed(kubectl, namespace))
        control_plane.stop_api_server()
        # Without an API server nobody can hold the Lease.
        assert first.process.wait(30) == 1
    with operator(tmp_path, control_plane.kubeconfig, **settings) as second:
        until(lambda: second.says("waiting for the API server"))
        assert second.http("/healthz") == "ok\n"
        control_plane.start_api_server()
        create(kubectl, namespace, "beta")
        until(lambda: observed(kubectl, namespace, "beta"))
        assert second.http("/readyz") == "ok\n"


def test_sigterm_releases_the_lease_so_that_a_successor_leads_at_once(
    control_plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    running: OperatorProcess,
    tmp_path: Path,
) -> None:
    with operator(
        tmp_path, control_plane.kubeconfig, WATCH_NAMESPACES=namespace, POD_NAMESPACE=namespace
    ) as second:
        until(lambda: second.says("waiting for the Lease"))
        assert second.http("/readyz") == "ok\n"
        assert second.sample("homeserver_operator_leader") == 0
        started = time.monotonic()
        assert running.terminate() == 0
        until(lambda: second.says("leading as"))

        assert time.monotonic() - started < Timing().duration
        create(kubectl, namespace)
        until(lambda: observed(kubectl, namespace))


def test_a_killed_leader_is_replaced_within_ten_seconds(
    control_plane: ControlPlane, namespace: str, running: OperatorProcess, tmp_path: Path
) -> None:
    with operator(
        tmp_path, control_plane.kubeconfig, WATCH_NAMESPACES=namespace, POD_NAMESPACE=namespace
    ) as second:
        until(lambda: second.says("waiting for the Lease"))
        running.kill()

        assert until(lambda: second.says("leading as")) < 10


def test_a_crd_older_than_the_operator_is_refused(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    crd = f"{names.PLURAL}.{names.GROUP}"
    annotation = names.CRD_REVISION_ANNOTATION
    kubectl.run("annotate", "crd", crd, f"{annotation}=0", "--overwrite")
    try:
        with operator(tmp_path, control_plane.kubeconfig, POD_NAMESPACE=namespace) as refused:
            assert refused.process.wait(30) == 1
            assert refused.says("the CRD is older than this operator")
            assert refused.says("helm upgrade, or kubectl apply -f crds/")
    finally:
        kubectl.run("annotate", "crd", crd, f"{annotation}={names.CRD_REVISION}", "--overwrite")


def test_a_missing_setting_is_named(tmp_path: Path, control_plane: ControlPlane) -> None:
    with operator(tmp_path, control_plane.kubeconfig, SYNAPSE_IMAGE="") as refused:
        assert refused.process.wait(30) == 2
        assert refused.says("SYNAPSE_IMAGE is not set")


def test_a_hundred_homeservers_take_at_most_60_kilobytes_each(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, running: OperatorProcess
) -> None:
    """Beside what the first ones take: libraries, connections, caches that are bounded."""

    def settle(names: list[str]) -> int:
        done = 'homeserver_operator_reconcile_total{outcome="success"}'
        wanted = running.sample(done) + 2 * len(names)
        create(kubectl, namespace, *names)
        until(lambda: running.sample(done) >= wanted, seconds=300)
        until(lambda: running.sample("homeserver_operator_queue_depth") == 0, seconds=300)
        return running.resident()

    first = settle([f"first-{number}" for number in range(10)])
    grown = settle([f"more-{number}" for number in range(100)]) - first

    assert grown <= 100 * 60, "kilobytes"


def test_generated_secrets_follow_the_retention_and_keep_their_values(
    kubectl: Kubectl, namespace: str, running: OperatorProcess
) -> None:
    create(kubectl, namespace)
    until(lambda: observed(kubectl, namespace))

    def key() -> Any:
        return kubectl.get("secret", "alpha-signing-key", f"--namespace={namespace}")

    def owners() -> list[str]:
        found = key()["metadata"].get("ownerReferences", [])
        return [owner["kind"] for owner in found if owner["controller"]]

    def retain(retention: str, wanted: list[str]) -> None:
        change = json.dumps({"spec": {"retention": {"secrets": retention}}})
        kubectl.run(
            *("patch", "homeserver", "alpha", f"--namespace={namespace}"),
            *("--type=merge", f"--patch={change}"),
        )
        until(lambda: owners() == wanted)

    data = key()["data"]
    retain("Delete", ["HomeServer"])
    retain("Retain", [])
    retain("Delete", ["HomeServer"])
    assert key()["data"] == data
