"""Each rule of the schema, in a real API server: what it lets pass and what it says otherwise."""

import json
from typing import Any

import pytest

from crds.tests.cases import CASES, Case, Spec, spec
from crds.tests.kubectl import Kubectl
from crds.tests.schema import load, root, walk
from homeserver_operator.api import names

IMMUTABLE = "serverName: cannot be changed"

UNCHECKED = "some validation rules were not checked because the object was invalid"
"""What the API server adds itself to any violation of types and bounds."""


def homeserver(fields: Spec, name: str = "example") -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": fields,
    }


def test_every_rule_has_a_case() -> None:
    messages = [
        rule["message"]
        for node in walk(root(load()))
        for rule in node.schema.get("x-kubernetes-validations", ())
    ]
    said = [case.says for case in CASES] + [IMMUTABLE]
    assert messages
    assert [message for message in messages if not any(map(message.startswith, said))] == []


@pytest.mark.apiserver
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_rule(kubectl: Kubectl, case: Case) -> None:
    accepted = kubectl.dry_run(homeserver(case.good, case.good_name))
    assert accepted.returncode == 0, accepted.stderr
    refused = kubectl.dry_run(homeserver(case.bad, case.bad_name))
    assert refused.returncode != 0
    assert case.says in refused.stderr
    # One mistake, one message: nobody should have to guess which of several is the cause.
    causes = [line for line in refused.stderr.splitlines() if line.startswith("* ")]
    assert len([cause for cause in causes if UNCHECKED not in cause]) <= 1, refused.stderr


@pytest.mark.apiserver
def test_a_server_name_stays_while_all_else_may_change(kubectl: Kubectl) -> None:
    kubectl.run("create", "--filename=-", text=json.dumps(homeserver(spec(), "immutable")))
    try:

        def change(fields: Spec) -> tuple[int, str]:
            patch = ("--type=merge", f"--patch={json.dumps({'spec': fields})}")
            done = kubectl.attempt("patch", "homeserver", "immutable", *patch, "--dry-run=server")
            return done.returncode, done.stderr

        assert change({"paused": True, "workers": [{"name": "a", "serves": ["sync"]}]})[0] == 0
        code, message = change({"serverName": "example.com"})
        assert code != 0
        assert IMMUTABLE in message
        assert "spec.serverName: Forbidden" in message
    finally:
        kubectl.run("delete", "homeserver", "immutable")
