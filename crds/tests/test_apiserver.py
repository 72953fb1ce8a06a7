"""The CRD in a real API server: accepted, explained, and its examples work as they are."""

import re
import time
from pathlib import Path

import pytest
import yaml

from crds.tests.kubectl import Kubectl
from crds.tests.schema import load, root, walk
from homeserver_operator.api import names
from homeserver_operator.api.spec import parse
from homeserver_operator.validate import groups, overlay

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
CRD_NAME = f"{names.PLURAL}.{names.GROUP}"
EXPLAINED_SECONDS = 30.0

pytestmark = pytest.mark.apiserver


def test_the_crd_is_established_without_complaint(kubectl: Kubectl) -> None:
    conditions = {
        condition["type"]: condition["status"]
        for condition in kubectl.get("crd", CRD_NAME)["status"]["conditions"]
    }
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


def test_kubectl_explains_every_field_with_its_type(kubectl: Kubectl) -> None:
    explain = ("explain", names.PLURAL, "--recursive", f"--api-version={names.API_VERSION}")
    deadline = time.monotonic() + EXPLAINED_SECONDS
    # The API server publishes the schema a moment after the resource.
    while "generatedSecrets" not in (text := kubectl.attempt(*explain).stdout):
        assert time.monotonic() < deadline, text
    fields = [line.split("\t") for line in text.splitlines() if "\t" in line]
    assert all(type_.startswith("<") and type_ != "<>" for _, type_, *_ in fields)
    explained = {name.strip() for name, *_ in fields}
    declared = {node.path.rsplit(".", 1)[-1].rstrip("[]") for node in walk(root(load()))}
    assert declared - explained <= {"", "*"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_accepted_as_they_are(kubectl: Kubectl, example: Path) -> None:
    done = kubectl.dry_run(yaml.safe_load(example.read_text()))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_operator_finds_no_fault_with_the_examples(example: Path) -> None:
    body = yaml.safe_load(example.read_text())
    server = parse({**body, "metadata": {**body["metadata"], "namespace": "default"}})
    assert list(groups.problems(server)) == []
    assert list(overlay.problems(server.config, "spec.config")) == []


def test_people_see_the_state_in_a_list(kubectl: Kubectl) -> None:
    text = "\n".join(
        (
            f"apiVersion: {names.API_VERSION}",
            f"kind: {names.KIND}",
            "metadata: {name: listed}",
            "spec: {serverName: listed.example.org}",
        )
    )
    kubectl.run("create", "--filename=-", text=text)
    try:
        ready = (
            '{"status": {"plan": {"id": "1", "phase": "Held"},'
            ' "version": "1.163.2", "workers": "5/6", "conditions": [{"type": "Ready",'
            ' "status": "False", "reason": "WorkersStarting", "message": "",'
            ' "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}'
        )
        patch = ("--subresource=status", "--type=merge", f"--patch={ready}")
        kubectl.run("patch", "homeserver", "listed", *patch)
        table = kubectl.run("get", "hs", "listed")
        head, row = table.splitlines()
        assert re.split(r"\s{2,}", head) == [
            *("NAME", "READY", "REASON", "VERSION", "WORKERS", "SERVER NAME", "AGE")
        ]
        assert row.split()[:6] == [
            *("listed", "False", "WorkersStarting", "1.163.2", "5/6", "listed.example.org")
        ]
        head, row = kubectl.run("get", "hs", "listed", "--output=wide").splitlines()
        assert (head.split()[5], row.split()[5]) == ("PLAN", "Held")
        assert "homeserver" in kubectl.run("get", "matrix", "--output=name")
    finally:
        kubectl.run("delete", "homeserver", "listed")
