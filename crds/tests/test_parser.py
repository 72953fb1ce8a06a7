"""The operator and the schema agree: on the words, and on what a field left out means."""

import json
import re
from typing import Any

import pytest

from crds.tests.cases import CASES, Case
from crds.tests.kubectl import Kubectl
from crds.tests.schema import load, root, walk
from crds.tests.test_rules import homeserver
from homeserver_operator.api import restarts, roles
from homeserver_operator.api.spec import parse
from homeserver_operator.routes.classes import CLASSES
from homeserver_operator.status.bounds import BOUNDS
from homeserver_operator.validate.groups import RESERVED
from homeserver_operator.validate.sources import generated_names

SCHEMAS = {node.path: node.schema for node in walk(root(load()))}


def words(field: str) -> set[str]:
    return set(SCHEMAS[f"spec.workers[].{field}[]"]["enum"])


def test_every_class_of_requests_that_a_group_can_serve_has_routes() -> None:
    # One without would be accepted, and do nothing.
    assert words("serves") == {each.serves for each in CLASSES if each.serves}


def test_every_stream_that_a_group_can_write_is_one_of_synapse() -> None:
    assert words("writes") == set(roles.STREAMS)


def test_the_rules_and_the_operator_know_the_same_single_roles_and_reserved_names() -> None:
    group = " ".join(
        rule["rule"]
        for path in ("spec.workers[]", "spec.workers[].name")
        for rule in SCHEMAS[path]["x-kubernetes-validations"]
    )
    quoted = set(re.findall(r"'(\w+)'", group))
    expected = {*roles.SINGLE_WRITER, *roles.SINGLE_RUNNER, *roles.SHARED_BY_ALL, *RESERVED}
    others = {roles.MEDIA_BACKGROUND_JOBS, roles.QUARANTINED_MEDIA, "cpu", "memory"}
    assert quoted - others == expected


def test_every_duty_that_a_group_can_run_is_known_by_name() -> None:
    assert words("runs") == roles.DUTIES


def test_the_words_of_plans_and_windows_are_the_operators() -> None:
    policy = "spec.restartPolicy"
    assert SCHEMAS[f"{policy}.approval"]["enum"] == [restarts.AUTOMATIC, restarts.MANUAL]
    days = SCHEMAS[f"{policy}.maintenanceWindows[].days[]"]["enum"]
    assert tuple(days) == restarts.DAYS
    assert SCHEMAS["status.plan.phase"]["enum"] == list(restarts.Phase)


def test_the_operator_knows_how_much_of_anything_the_status_holds() -> None:
    """The API server refuses all of it for one item too many."""
    bounds = {
        path.removeprefix("status."): schema[bound]
        for path, schema in SCHEMAS.items()
        for bound in ("maxItems", "maxLength", "maxProperties")
        if path.startswith("status.") and bound in schema
    }
    assert bounds == BOUNDS


def test_what_must_not_be_cut_has_room_for_all_that_a_spec_can_ask_for() -> None:
    groups = SCHEMAS["spec.workers"]["maxItems"]
    processes = 1 + groups * SCHEMAS["spec.workers[].replicas"]["maximum"]
    body = {"metadata": {"name": "n", "namespace": "n", "uid": "u"}, "spec": {"serverName": "s"}}
    assert BOUNDS["groups"] >= 1 + groups
    # With what is beside the processes: stores and the router.
    assert BOUNDS["release.revisions"] >= processes + 3
    assert BOUNDS["generatedSecrets"] >= len(generated_names(parse(body)))
    for spec, status in (
        ("workers[].name", "groups[].name"),
        ("serverName", "serverName"),
        ("image", "image"),
    ):
        assert SCHEMAS[f"spec.{spec}"]["maxLength"] <= BOUNDS[status]


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
