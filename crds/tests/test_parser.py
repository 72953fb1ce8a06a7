"""The operator's parser and the schema agree: on names, and on what a field left out means."""

import json
from typing import Any

import pytest

from crds.tests.cases import CASES, Case
from crds.tests.kubectl import Kubectl
from crds.tests.test_rules import homeserver
from homeserver_operator.api.spec import parse


def stored(kubectl: Kubectl, fields: dict[str, Any], name: str) -> dict[str, Any]:
    done = kubectl.dry_run(homeserver(fields, name))
    assert done.returncode == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


@pytest.mark.apiserver
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_the_defaults_of_the_schema_are_those_of_the_parser(kubectl: Kubectl, case: Case) -> None:
    defaulted = stored(kubectl, case.good, case.good_name)
    assert parse(defaulted) == parse({**defaulted, "spec": case.good})
