"""The operator's process where the cluster lacks, and later gets, the kinds of another's CRDs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.shell.operator_process import operator
from tests.shell.test_against_apiserver import create, until

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE, CRD_NAME
from e2e.cluster import crds
from e2e.cluster.controlplane import ControlPlane

pytestmark = pytest.mark.apiserver

NAMESPACE = "chat"
HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        yield running


def ready(kubectl: Kubectl) -> dict[str, Any]:
    """The condition Ready; its reason is empty while there is none."""
    found = kubectl.get("homeserver", "alpha", f"--namespace={NAMESPACE}")
    conditions = found.get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == "Ready"), {"reason": ""})


def named(kubectl: Kubectl, kind: str) -> set[str]:
    items = kubectl.get(kind, f"--namespace={NAMESPACE}")["items"]
    return {item["metadata"]["name"] for item in items}


def choose(kubectl: Kubectl, ingress: str) -> None:
    patch = ("--type=merge", f'--patch={{"spec": {{"ingress": {ingress}}}}}')
    kubectl.run("patch", "homeserver", "alpha", f"--namespace={NAMESPACE}", *patch)


def test_a_controller_whose_crds_are_missing_is_said_and_served_once_they_are_there(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
    kubectl.run("apply", "--server-side", f"--filename={CRD_FILE}")
    kubectl.wait_established(CRD_NAME)
    kubectl.run("create", "namespace", NAMESPACE)
    settings = {"WATCH_NAMESPACES": NAMESPACE, "POD_NAMESPACE": NAMESPACE}
    with operator(tmp_path, control_plane.kubeconfig, **settings) as running:
        create(kubectl, NAMESPACE)
        until(lambda: named(kubectl, "ingresses") == {"alpha-main"})

        choose(kubectl, '{"controller": "gateway-api", "gateway": {"name": "outer"}}')
        until(lambda: ready(kubectl)["reason"] == "ApplyFailed")
        assert "install the CRDs of the Gateway API" in ready(kubectl)["message"]
        # What served before goes on.
        assert named(kubectl, "ingresses") == {"alpha-main"}

        kubectl.run("apply", "--server-side", f"--filename={crds.crds()}")
        kubectl.wait_established(HTTP_ROUTES)
        until(lambda: named(kubectl, HTTP_ROUTES) == {"alpha-main"}, seconds=120)
        until(lambda: not named(kubectl, "ingresses"))
        until(lambda: ready(kubectl)["reason"] != "ApplyFailed")

        choose(kubectl, '{"controller": "traefik-crd", "gateway": null}')
        until(lambda: named(kubectl, "ingressroutes.traefik.io") == {"alpha-main"})
        until(lambda: not named(kubectl, HTTP_ROUTES))
        said = [line["message"] for line in running.logged() if line.get("level") == "warning"]
        assert not [text for text in said if "routes" in text and "watch" in text], said


def test_homeservers_whose_crd_is_lost_are_missed_and_served_once_it_is_back(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig)

    def install() -> None:
        kubectl.run("apply", "--server-side", f"--filename={CRD_FILE}")
        kubectl.wait_established(CRD_NAME)

    install()
    kubectl.run("create", "namespace", NAMESPACE)
    settings = {"WATCH_NAMESPACES": NAMESPACE, "POD_NAMESPACE": NAMESPACE}
    with operator(tmp_path, control_plane.kubeconfig, **settings) as running:
        watched = f'homeserver_operator_homeservers_watched{{namespace="{NAMESPACE}"}}'
        until(lambda: running.says("the HomeServers of the namespace"))
        assert running.sample(watched) == 1
        assert running.http("/readyz") == "ok\n"

        kubectl.run("delete", "crd", CRD_NAME)
        until(lambda: running.says("not watched: the API server does not know HomeServers"))
        assert running.sample(watched) == 0

        install()
        create(kubectl, NAMESPACE)
        until(lambda: named(kubectl, "ingresses") == {"alpha-main"}, seconds=90)
        assert running.http("/readyz") == "ok\n"
