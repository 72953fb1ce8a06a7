"""When everything is as wanted the operator writes nothing, and its restart is not noticed."""

from __future__ import annotations

import time

import pytest

from e2e.product.audit import Audit
from e2e.product.homeserver import RunningHomeServer
from e2e.product.installation import OPERATOR_SELECTOR, RELEASE
from e2e.product.kube import eventually

pytestmark = pytest.mark.cluster


def _audit(running: RunningHomeServer) -> Audit:
    log = running.installation.cluster.audit_log
    if log is None:
        pytest.skip("a cluster of somebody else's shows no audit log")
    return Audit(log)


# Two minutes of it, and in use, are among the tests in `live`.
@pytest.mark.soak
def test_nothing_is_written_in_ten_minutes(running: RunningHomeServer) -> None:
    running.wait_ready()
    before = running.pods()
    audit = _audit(running)

    # Nothing can be waited for: that nothing happens is the point.
    time.sleep(600)

    assert audit.writes() == []
    assert running.pods() == before


def test_restarting_the_operator_writes_nothing_and_restarts_no_pod(
    running: RunningHomeServer,
) -> None:
    running.wait_ready()
    _at_rest(running)
    before = running.pods()
    operator = running.installation.operator
    old = {pod["metadata"]["uid"] for pod in operator.list("pods", OPERATOR_SELECTOR)}
    audit = _audit(running)

    operator.run("rollout", "restart", f"deployment/{RELEASE}")
    operator.run("rollout", "status", f"deployment/{RELEASE}", "--timeout=120s")
    eventually(
        lambda: {pod["metadata"]["uid"] for pod in operator.list("pods", OPERATOR_SELECTOR)},
        lambda seen: bool(seen) and not seen & old,
        what="only the new operator",
        seconds=60,
    )
    _reconciled_by_the_new_operator(running)

    assert audit.writes() == []
    assert running.pods() == before


def _at_rest(running: RunningHomeServer) -> None:
    """The last pods of the tests before have ended, and the status says so."""

    def told() -> bool:
        pods = running.kube.list("pods", f"homeserver-operator.io/homeserver={running.name}")
        if any("deletionTimestamp" in pod["metadata"] for pod in pods):
            return False
        live = {str(pod["metadata"]["name"]) for pod in pods}
        return {each["pod"] for each in running.live()["status"]["processes"]} <= live

    eventually(told, bool, what="rest", seconds=120)


def _reconciled_by_the_new_operator(running: RunningHomeServer) -> None:
    """Its metrics count a finished reconcile."""

    def metrics() -> str:
        path = (
            f"/api/v1/namespaces/{running.installation.operator.namespace}/pods/"
            f"{_operator_pod(running)}:8081/proxy/metrics"
        )
        return running.installation.operator.run("get", "--raw", path, check=False)

    eventually(
        metrics,
        lambda text: 'homeserver_operator_reconcile_total{outcome="success"}' in text,
        what="a reconcile by the new operator",
        seconds=60,
    )


def _operator_pod(running: RunningHomeServer) -> str:
    pods = running.installation.operator.list("pods", OPERATOR_SELECTOR)
    return str(pods[0]["metadata"]["name"])
