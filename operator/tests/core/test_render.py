"""Files as text."""

from typing import Any

import pytest
import yaml
from tests.core import case

from homeserver_operator.api.world import ObjectKey
from homeserver_operator.render import render, to_yaml
from homeserver_operator.render.paths import Addresses


@pytest.mark.parametrize("name", case.names())
def test_a_file_is_what_it_would_be_alone(name: str) -> None:
    """Entries that processes share are written once for all of them."""
    shown = case.load(name)
    replication = {
        process.name: f"{process.name}.invalid" for process in shown.topology.replicating
    }
    addresses = Addresses(replication=replication, postgres="postgres", redis="redis")

    written = render(shown.valid, shown.topology, addresses, case.fences_of(shown))

    assert written.keys() == {process.name for process in shown.topology.processes}
    for files in written.values():
        for text in files.values():
            assert text == to_yaml(yaml.safe_load(text))


CONSENT = {"version": "1", "template_dir": "/files/policy"}
IN_A_SECRET: case.References = {
    ObjectKey("Secret", "old"): {
        "homeserver.yaml": yaml.safe_dump({"user_consent": CONSENT}).encode()
    }
}


@pytest.mark.parametrize(
    ("spec", "users"),
    [
        pytest.param({"config": {"user_consent": CONSENT}}, {}, id="in the resource"),
        pytest.param({"configFrom": [{"secretName": "old"}]}, IN_A_SECRET, id="in a Secret"),
    ],
)
def test_main_answers_for_consent_wherever_that_is_configured(
    spec: dict[str, Any], users: case.References
) -> None:
    """Else whoever has to consent is led to a page that is not there."""
    minimal = case.load("minimal").body
    body = {**minimal, "spec": {**minimal["spec"], **spec}}
    found = case.build_all(case.Case("minimal", body, users))
    (main,) = (each for each in found.content if "-main-" in each["metadata"]["name"])
    listeners = yaml.safe_load(main["data"]["homeserver.yaml"])["listeners"]
    assert "consent" in listeners[0]["resources"][0]["names"]
