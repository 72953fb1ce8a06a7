"""The operator with exactly the settings and the rights that the chart gives it."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.shell.operator_process import operator
from tests.shell.test_against_apiserver import create, observed, until

from crds.tests.kubectl import Kubectl
from e2e.cluster import gobuild
from e2e.cluster.controlplane import ControlPlane
from helm.tests.chart import IMAGES, NAMESPACE, RELEASE, Helm, one

pytestmark = pytest.mark.apiserver

CHART = Path(__file__).parents[3] / "helm"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-homeserver-operator"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    program = gobuild.binaries(gobuild.TOOLS) / "helm"
    return Helm(program, tmp_path_factory.mktemp("helm"), gobuild.version(gobuild.KUBERNETES))


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        yield running


def routers(kubectl: Kubectl, namespace: str) -> list[Any]:
    """Bindings of the router's Role, the last to come of what needs rights, and the last to go."""
    found: list[Any] = kubectl.get("rolebindings", f"--namespace={namespace}")["items"]
    return [each for each in found if each["metadata"]["name"] == "alpha-router"]


@pytest.mark.parametrize(
    ("values", "namespaces"),
    [
        pytest.param({"clusterWide": True}, ["chat"], id="cluster-wide"),
        pytest.param({"watchNamespaces": ["chat", "talk"]}, ["chat", "talk"], id="two namespaces"),
    ],
)
def test_what_the_chart_grants_and_sets_is_enough(
    helm: Helm,
    control_plane: ControlPlane,
    tmp_path: Path,
    values: dict[str, Any],
    namespaces: list[str],
) -> None:
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
    for namespace in (NAMESPACE, "chat", "talk"):
        kubectl.run("create", "namespace", namespace)
    sets = [
        f"--set-json={name}={value!r}".replace("'", '"').replace("True", "true")
        for name, value in values.items()
    ]
    helm.run(
        *("install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", f"--set={IMAGES}", *sets),
        f"--kubeconfig={control_plane.kubeconfig}",
    )
    container = one(helm.template(values, IMAGES), "Deployment")["spec"]["template"]["spec"]
    environment = {
        each["name"]: each["value"]
        for each in container["containers"][0]["env"]
        if "value" in each and each["name"] != "HTTP_PORT"
    }
    account = control_plane.kubeconfig_of(ACCOUNT, *GROUPS)
    with operator(
        tmp_path, account, **environment, POD_NAMESPACE=NAMESPACE, POD_NAME="operator-0"
    ) as running:
        until(lambda: running.says("leading as operator-0_"))
        for namespace in namespaces:
            create(kubectl, namespace)
            until(partial(observed, kubectl, namespace))
            # What it grants to a router, it must have itself, and take away again.
            for router, there in (({}, True), (None, False)):
                edit = json.dumps({"spec": {"router": router}})
                kubectl.run(
                    *("patch", "homeserver", "alpha", f"--namespace={namespace}"),
                    *("--type=merge", f"--patch={edit}"),
                )
                until(lambda: bool(routers(kubectl, namespace)) is there)  # noqa: B023 - at once
        assert running.terminate() == 0

    assert [line for line in running.logged() if "orbidden" in line["message"]] == []
