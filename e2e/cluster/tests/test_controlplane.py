"""The control plane alone behaves as the API server of a cluster does."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import audit
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlane]:
    with ControlPlane() as started:
        yield started


def _kubectl(server: ControlPlane, kubeconfig: Path, *arguments: str) -> str:
    command = [str(server.kubectl), f"--kubeconfig={kubeconfig}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def test_an_administrator_may_write_and_the_audit_log_says_who_did(server: ControlPlane) -> None:
    assert "created" in _kubectl(server, server.kubeconfig, "create", "namespace", "audited")
    events = audit.entries(server.audit_log)
    created = [e for e in events if e["verb"] == "create" and e["user"]["username"] == "admin"]
    assert "audited" in [event["objectRef"].get("name") for event in created]


def test_another_user_may_do_what_rbac_grants(server: ControlPlane) -> None:
    alice = server.kubeconfig_of("alice")
    assert "Forbidden" in _kubectl(server, alice, "get", "configmaps")
    for grant in (
        ("role", "reader", "--verb=list", "--resource=configmaps"),
        ("rolebinding", "alice", "--role=reader", "--user=alice"),
    ):
        assert "created" in _kubectl(server, server.kubeconfig, "create", *grant)
    wait_until(
        lambda: "No resources found" in _kubectl(server, alice, "get", "configmaps"),
        what="the grant to take effect",
        seconds=10,
    )
    assert "Forbidden" in _kubectl(server, alice, "get", "secrets")


def test_data_outlive_an_outage_and_nothing_outlives_the_end() -> None:
    with ControlPlane() as server:
        _kubectl(server, server.kubeconfig, "create", "configmap", "kept")
        server.stop_api_server()
        assert "refused" in _kubectl(server, server.kubeconfig, "get", "configmap", "kept")
        server.start_api_server()
        assert "kept" in _kubectl(server, server.kubeconfig, "get", "configmap", "kept")
        directory = server.logs.parent
    assert not directory.exists()
