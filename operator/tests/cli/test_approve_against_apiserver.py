"""`kubectl homeserver approve` against a real API server, by a user who may do nothing more.

What an imitation cannot prove: the precondition, the field manager, and which rights it takes.
"""

import asyncio
import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE, CRD_NAME
from e2e.cluster.controlplane import ControlPlane
from homeserver_operator.api import names
from homeserver_operator.cli.__main__ import main
from homeserver_operator.cli.access import connect
from homeserver_operator.transport import ApiError

pytestmark = pytest.mark.apiserver

NAME = "alpha"
NAMESPACE = "meadow"
PLAN: dict[str, Any] = {
    "id": "0123456789",
    "phase": "Held",
    "waves": [{"restarts": [{"process": "main", "because": "an option of main changes"}]}],
}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with ControlPlane() as running:
        client = Kubectl(running.kubectl, running.kubeconfig)
        client.run("apply", "--server-side", f"--filename={CRD_FILE}")
        client.wait_established(CRD_NAME)
        client.run("create", "namespace", NAMESPACE)
        yield client


@pytest.fixture(scope="module")
def of_user(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of somebody who may get and patch HomeServers, and nothing else."""
    here = f"--namespace={NAMESPACE}"
    kubectl.run("create", "serviceaccount", "approver", here)
    kubectl.run("create", "role", "approver", "--verb=get,patch", "--resource=homeservers", here)
    account = f"--serviceaccount={NAMESPACE}:approver"
    kubectl.run("create", "rolebinding", "approver", "--role=approver", account, here)
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    token = kubectl.run("create", "token", "approver", here).strip()
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = tmp_path_factory.mktemp("user") / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def create(kubectl: Kubectl) -> None:
    """A HomeServer with a plan that is held."""
    body = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"serverName": "alpha.example.org", "restartPolicy": {"approval": "Manual"}},
    }
    kubectl.run("create", "--filename=-", text=json.dumps(body))
    status = json.dumps({"status": {"observedGeneration": 1, "plan": PLAN}})
    change(kubectl, "--subresource=status", f"--patch={status}")


def change(kubectl: Kubectl, *patch: str) -> None:
    kubectl.run("patch", "homeserver", NAME, f"--namespace={NAMESPACE}", "--type=merge", *patch)


def read(kubectl: Kubectl) -> Any:
    where = (NAME, f"--namespace={NAMESPACE}", "--show-managed-fields")
    return kubectl.get("homeserver", *where)


def test_a_user_approves_and_nothing_else_of_the_resource_changes(
    kubectl: Kubectl, of_user: Path
) -> None:
    create(kubectl)
    try:
        before = read(kubectl)
        options = ["--namespace", NAMESPACE, "--kubeconfig", str(of_user)]
        assert main(["approve", NAME, *options]) == 0
        after = read(kubectl)
        assert after["metadata"]["annotations"] == {names.APPROVED_PLAN_ANNOTATION: PLAN["id"]}
        assert (after["spec"], after["status"]) == (before["spec"], before["status"])
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        owned = {
            each["manager"]: each["fieldsV1"]
            for each in after["metadata"]["managedFields"]
            if each["manager"] == "kubectl-homeserver"
        }
        key = f"f:{names.APPROVED_PLAN_ANNOTATION}"
        fields: Any = {"f:metadata": {"f:annotations": {".": {}, key: {}}}}
        assert owned == {"kubectl-homeserver": fields}
    finally:
        kubectl.run("delete", "homeserver", NAME, f"--namespace={NAMESPACE}")


def test_what_has_changed_since_it_was_read_is_not_approved(
    kubectl: Kubectl, of_user: Path
) -> None:
    create(kubectl)
    try:
        stale = read(kubectl)
        change(kubectl, '--patch={"spec": {"logLevel": "DEBUG"}}')

        async def approve() -> None:
            options = Namespace(kubeconfig=str(of_user), context=None, namespace=NAMESPACE)
            async with connect(options) as access:
                await access.annotate(stale, {names.APPROVED_PLAN_ANNOTATION: PLAN["id"]})

        with pytest.raises(ApiError) as refused:
            asyncio.run(approve())
        assert refused.value.status == 409
        assert "annotations" not in read(kubectl)["metadata"]
    finally:
        kubectl.run("delete", "homeserver", NAME, f"--namespace={NAMESPACE}")
