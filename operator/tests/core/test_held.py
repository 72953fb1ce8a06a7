"""While restarts wait for somebody's word, what runs goes on, comes back and is led to as it is."""

from typing import Any

import pytest
from tests.core.scenario import Scenario, running
from tests.core.worlds import ALL, CLIENT, MEDIA, PERSISTER, SENDER, SYNC, usual

from homeserver_operator.api.names import (
    EPOCH_LABEL,
    PROCESS_LABEL,
    REVISION_LABEL,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.world import ObjectKey

MANUAL = {"approval": "Manual"}
AT_NIGHT = {"maintenanceWindows": [{"start": "22:00", "duration": "1h"}]}
LOUDER = {"logLevel": "WARNING"}
MORE_WRITERS = {"workers": [SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]}

EDITS: dict[str, dict[str, Any]] = {"an edit": LOUDER, "an edit with a new epoch": MORE_WRITERS}
DOWN = {"one process": {"persister-0"}, "main": {"main"}, "everybody, as without a database": ALL}


def held(policy: dict[str, Any], edit: dict[str, Any]) -> Scenario:
    body = usual()
    scenario = running(body={**body, "spec": {**body["spec"], "restartPolicy": policy}})
    scenario.edit(**edit)
    return scenario.converge()


def bring_down(scenario: Scenario, processes: set[str]) -> None:
    """As a readiness probe that fails is seen."""
    for key, live in scenario.cluster.live.items():
        if live["metadata"].get("labels", {}).get(PROCESS_LABEL) in processes:
            if key.kind == "Deployment":
                live["status"]["readyReplicas"] = 0
            elif key.kind == "Pod":
                live["status"]["conditions"] = []


@pytest.mark.parametrize("policy", [MANUAL, AT_NIGHT], ids=["for an approval", "for a window"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("down", DOWN.values(), ids=DOWN)
def test_a_moment_without_a_ready_pod_is_no_consent(
    down: set[str], edit: dict[str, Any], policy: dict[str, Any]
) -> None:
    scenario = held(policy, edit)
    before = scenario.templates()
    bring_down(scenario, down)
    for _ in range(3):
        scenario.step()
        assert scenario.templates() == before
    assert scenario.body["status"]["plan"]["phase"] == "Held"


WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "an approval": (MANUAL, "homeserver approve`. Down until then: main (pod"),
    "a window": (AT_NIGHT, "if that cannot wait, take spec.restartPolicy.maintenanceWindows out"),
}


@pytest.mark.parametrize("title", WORDS)
def test_whoever_is_down_meanwhile_is_told(title: str) -> None:
    policy, words = WORDS[title]
    scenario = held(policy, LOUDER)
    assert "Down" not in scenario.condition("Ready")["message"]
    bring_down(scenario, {"main"})
    last = {"exitCode": 1, "message": "no route to the database"}
    scenario.cluster.live[ObjectKey("Pod", "rosebud-main-pod0")]["status"]["containerStatuses"] = [
        {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": last}}
    ]
    scenario.step()
    message = scenario.condition("Ready")["message"]
    assert words in message
    assert "Down until then: main (pod rosebud-main-pod0: no route to the database)" in message


def test_who_never_came_up_changes_without_being_asked_for() -> None:
    """It has nothing to lose, and the change may be what it needs."""
    body = usual()
    scenario = Scenario(body={**body, "spec": {**body["spec"], "restartPolicy": MANUAL}})
    scenario.step()
    before = scenario.templates()
    scenario.edit(**LOUDER)
    scenario.step()
    after = scenario.templates()
    assert {f"rosebud-{process}" for process in ALL} == {
        name for name in after if before[name] != after[name]
    }


def test_a_replication_service_of_those_who_run_comes_back() -> None:
    """Without it nobody reaches the persister, for as long as the switch waits."""
    scenario = held(MANUAL, MORE_WRITERS)
    key = ObjectKey("Service", "rosebud-persister-0-e1")
    lost = scenario.cluster.live[key]["spec"]
    scenario.cluster.forget(key)
    scenario.step()
    found = scenario.cluster.live[key]["spec"]
    pod = scenario.cluster.live[ObjectKey("Pod", "rosebud-persister-0-pod0")]
    assert found["ports"] == lost["ports"]
    assert found["publishNotReadyAddresses"]
    assert found["selector"].items() <= pod["metadata"]["labels"].items()
    assert lost["selector"].items() <= found["selector"].items()
    assert scenario.converge().decide().plan.empty


def test_the_services_of_an_epoch_that_is_gone_do_not_come_back() -> None:
    scenario = held({}, MORE_WRITERS)
    assert ObjectKey("Service", "rosebud-main-e2") in scenario.cluster.live
    assert not [key for key in scenario.cluster.live if key.name.endswith("-e1")]


@pytest.mark.parametrize("label", [REVISION_LABEL, EPOCH_LABEL, WORKER_GROUP_LABEL])
@pytest.mark.parametrize("value", [None, "x"], ids=["taken away", "changed"])
def test_a_label_that_somebody_edited_is_put_back(label: str, value: str | None) -> None:
    scenario = running(body=usual())
    key = ObjectKey("Deployment", "rosebud-persister-0")
    before = scenario.templates()[key.name]
    labels = scenario.cluster.live[key]["spec"]["template"]["metadata"]["labels"]
    labels.pop(label)
    if value:
        labels[label] = value
    scenario.cluster.settle()
    scenario.converge()
    assert scenario.templates()[key.name] == before
