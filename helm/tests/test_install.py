"""The chart in a real API server: installed, upgraded, uninstalled, and what it is allowed."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from crds.tests.kubectl import Kubectl
from crds.tests.schema import load, root
from helm.tests.chart import CHART, IMAGES, NAMESPACE, RELEASE, Helm, Object, one
from homeserver_operator.api import names

pytestmark = pytest.mark.apiserver

CRD_NAME = f"{names.PLURAL}.{names.GROUP}"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-homeserver-operator"
SERVED_SECONDS = 30.0


class Cluster:
    """An API server in which Helm releases come and go."""

    def __init__(self, helm: Helm, kubectl: Kubectl) -> None:
        self.helm, self.kubectl = helm, kubectl
        self._flags = (f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={NAMESPACE}")

    def release(self, verb: str, *args: str, chart: Path = CHART) -> str:
        """Install or upgrade, and wait until the API server serves the CRD."""
        output = self.helm.run(verb, *args, str(chart), f"--set={IMAGES}", *self._flags)
        self.kubectl.wait_established(CRD_NAME)
        return output

    def refused(self, verb: str, *args: str) -> str:
        """Return why Helm does not install."""
        done = self.helm.attempt(verb, *args, str(CHART), f"--set={IMAGES}", *self._flags)
        assert done.returncode != 0
        return done.stderr

    def uninstall(self, release: str = RELEASE) -> str:
        return self.helm.run("uninstall", release, *self._flags)

    def revision(self) -> str:
        annotations = self.kubectl.get("crd", CRD_NAME)["metadata"]["annotations"]
        revision: str = annotations[names.CRD_REVISION_ANNOTATION]
        return revision

    def uid(self, name: str) -> str:
        uid: str = self.kubectl.get("homeserver", name)["metadata"]["uid"]
        return uid


@pytest.fixture
def cluster(helm: Helm, kubectl: Kubectl) -> Cluster:
    kubectl.run("create", "namespace", NAMESPACE)
    return Cluster(helm, kubectl)


def homeserver(**fields: object) -> Object:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"serverName": "example.org", **fields},
    }


def older_chart(directory: Path) -> Path:
    """Copy the chart, with a CRD as it was before it had spec.retention."""
    chart = directory / "older"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("tests"))
    crd = load()
    crd["metadata"]["annotations"][names.CRD_REVISION_ANNOTATION] = "0"
    del root(crd)["properties"]["spec"]["properties"]["retention"]
    (chart / "files" / "homeservers.yaml").write_text(yaml.safe_dump(crd))
    return chart


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what the API server takes up a moment after it was told."""
    deadline = time.monotonic() + SERVED_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_upgrade_raises_the_crd_and_an_uninstall_keeps_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    kubectl = cluster.kubectl
    cluster.release("install", RELEASE, chart=older_chart(tmp_path))
    assert cluster.revision() == "0"
    kubectl.run("create", "--filename=-", text=json.dumps(homeserver()))
    uid = cluster.uid("example")

    retaining = homeserver(retention={"media": "Delete"})
    retaining["metadata"]["name"] = "retaining"
    assert "unknown field" in kubectl.dry_run(retaining).stderr
    cluster.release("upgrade", RELEASE)
    assert cluster.revision() == str(names.CRD_REVISION)
    eventually(lambda: kubectl.dry_run(retaining).returncode == 0)
    assert cluster.uid("example") == uid

    assert CRD_NAME in cluster.uninstall()
    assert cluster.revision() == str(names.CRD_REVISION)
    assert cluster.uid("example") == uid
    left = kubectl.run("get", "all,roles,rolebindings", f"--namespace={NAMESPACE}", "--output=name")
    assert left == ""

    cluster.release("install", RELEASE)
    cluster.uninstall()
    assert "invalid ownership metadata" in cluster.refused("install", "another")
    cluster.release("install", "another", "--take-ownership")
    assert cluster.uid("example") == uid


def test_the_notes_lead_to_a_homeserver(cluster: Cluster) -> None:
    notes = cluster.release("install", RELEASE)
    start, end = notes.index("apiVersion:"), notes.index("\nEND\n")
    done = cluster.kubectl.dry_run(yaml.safe_load(notes[start:end]))
    assert done.returncode == 0, done.stderr
    assert f"rollout status deployment/{RELEASE}-homeserver-operator" in notes


def test_the_operator_can_do_its_work_and_no_more(cluster: Cluster) -> None:
    cluster.release("install", RELEASE)
    kubectl = cluster.kubectl

    def may(verb: str, resource: str, *more: str, namespace: str = NAMESPACE) -> bool:
        question = ("auth", "can-i", verb, resource, *more, f"--namespace={namespace}")
        answer: str = kubectl.attempt(*question, f"--as={ACCOUNT}").stdout
        return answer.strip() == "yes"

    eventually(lambda: may("get", f"crd/{CRD_NAME}"))
    assert may("watch", CRD_NAME)
    assert may("delete", "secrets")
    assert may("create", "leases.coordination.k8s.io")
    assert may("update", f"leases.coordination.k8s.io/{RELEASE}-homeserver-operator")
    assert not may("update", "leases.coordination.k8s.io/another")
    assert not may("delete", "persistentvolumeclaims")
    assert not may("patch", CRD_NAME)
    assert not may("get", "crds")
    assert not may("list", "secrets", namespace="default")

    # Server-side apply of the status is all that is written to a HomeServer.
    theirs = homeserver()
    theirs["metadata"]["namespace"] = NAMESPACE
    kubectl.run("create", "--filename=-", text=json.dumps(theirs))
    status = {
        **{field: theirs[field] for field in ("apiVersion", "kind", "metadata")},
        "status": {"workers": "1/1"},
    }
    apply = ("apply", "--server-side", "--filename=-", f"--as={ACCOUNT}")
    kubectl.run(*apply, "--subresource=status", text=json.dumps(status))
    example = kubectl.get("homeserver", "example", f"--namespace={NAMESPACE}")
    assert example["status"] == {"workers": "1/1"}
    theirs["spec"]["paused"] = True
    refusal = kubectl.attempt(*apply, "--force-conflicts", text=json.dumps(theirs)).stderr
    assert "forbidden" in refusal


def test_the_operators_pod_is_restricted(cluster: Cluster) -> None:
    kubectl = cluster.kubectl
    level = "pod-security.kubernetes.io/enforce=restricted"
    kubectl.run("label", "namespace", NAMESPACE, level)
    template = one(cluster.helm.template(), "Deployment")["spec"]["template"]
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": NAMESPACE},
        "spec": template["spec"],
    }
    done = kubectl.dry_run(pod)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # The server would have noticed.
    container["securityContext"]["allowPrivilegeEscalation"] = True
    assert "violates PodSecurity" in kubectl.dry_run(pod).stderr
