"""Changes wait until Synapse's parser has judged them; what runs goes on."""

from typing import Any

import pytest
from tests.core.scenario import Scenario, running

from homeserver_operator.api.actions import Plan
from homeserver_operator.api.names import ROLE_LABEL
from homeserver_operator.api.world import ObjectKey

MAIN = ObjectKey("Deployment", "aster-main")


def preflights(scenario: Scenario) -> list[str]:
    return [
        key.name
        for key, live in scenario.cluster.live.items()
        if key.kind == "Pod" and live["metadata"]["labels"].get(ROLE_LABEL) == "preflight"
    ]


def set_status(scenario: Scenario, status: dict[str, Any]) -> None:
    (name,) = preflights(scenario)
    scenario.cluster.live[ObjectKey("Pod", name)]["status"] = status


def ended(code: int, message: str) -> dict[str, Any]:
    terminated = {"exitCode": code, "message": message}
    return {"phase": "Failed", "containerStatuses": [{"state": {"terminated": terminated}}]}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"image": "img:9", "state": state}]}


def test_a_new_homeserver_needs_none() -> None:
    scenario = Scenario("shared-class")
    scenario.step()
    assert preflights(scenario) == []
    assert MAIN in scenario.cluster.live


def test_a_change_is_judged_before_anything_restarts() -> None:
    scenario = running("shared-class")
    before = scenario.templates()
    scenario.edit(config={"enable_search": False})
    scenario.step()
    (name,) = preflights(scenario)
    assert scenario.templates() == before
    assert scenario.condition("Ready")["reason"] == "Preflight"
    assert "main" in scenario.condition("Ready")["message"]
    container = scenario.cluster.live[ObjectKey("Pod", name)]["spec"]["containers"][0]
    assert container["args"] == ["check", "/config/brisk", "/config/main", "/config/steady"]
    scenario.step()
    assert preflights(scenario) == [name], "the same pod is asked, not another one"
    assert scenario.decide().plan.empty


def test_once_it_has_passed_the_change_is_made_and_the_pod_goes() -> None:
    scenario = running("shared-class")
    before = scenario.templates()
    scenario.edit(config={"enable_search": False})
    scenario.step()
    set_status(scenario, {"phase": "Succeeded"})
    scenario.step()
    assert scenario.templates()["aster-main"] != before["aster-main"]
    assert preflights(scenario) == []
    scenario.converge()
    assert preflights(scenario) == []
    assert scenario.condition("Ready")["status"] == "True"


def test_the_verdict_holds_while_deployments_change_one_after_the_other() -> None:
    """An operator that dies after the first of them must not start a second preflight."""
    scenario = running("shared-class")
    scenario.edit(config={"enable_search": False})
    scenario.step()
    set_status(scenario, {"phase": "Succeeded"})
    plan = scenario.decide().plan
    scenario.cluster.execute(Plan(applies=plan.applies[:1]))
    names = {apply.key.name for apply in scenario.decide().plan.applies}
    assert not preflights(scenario)[1:]
    assert names == {apply.key.name for apply in plan.applies[1:]}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        pytest.param(ended(78, "main: max_upload_size is no size"), "ConfigRejected",
                     "max_upload_size is no size", id="Synapse refuses the configuration"),
        pytest.param(ended(1, "Traceback"), "PreflightFailed", "Delete the pod to try again",
                     id="the check itself fails"),
        pytest.param({"phase": "Failed"}, "PreflightFailed", "Delete the pod to try again",
                     id="the pod was evicted"),
        pytest.param(waiting("ImagePullBackOff", "not found"), "ImageUnavailable", "img:9",
                     id="the image cannot be pulled"),
        pytest.param(waiting("InvalidImageName"), "ImageUnavailable", "img:9",
                     id="the image's name is none"),
        pytest.param(waiting("CreateContainerConfigError", "no such key"), "ContainerRefused",
                     "no such key", id="the container cannot be made"),
    ],
)  # fmt: skip
def test_a_refused_change_touches_nothing_and_says_why(
    status: dict[str, Any], reason: str, words: str
) -> None:
    scenario = running("shared-class")
    before = scenario.templates()
    scenario.edit(config={"enable_search": False})
    scenario.step()
    set_status(scenario, status)
    scenario.step()
    assert scenario.decide().plan.empty
    assert scenario.templates() == before
    for kind in ("Ready", "Stalled"):
        assert scenario.condition(kind)["reason"] == reason
        assert words in scenario.condition(kind)["message"]
        assert "Nothing was changed" in scenario.condition(kind)["message"]
    assert scenario.condition("Available")["status"] == "True"


def test_a_node_that_is_full_is_waited_for() -> None:
    scenario = running("shared-class")
    scenario.edit(config={"enable_search": False})
    scenario.step()
    unschedulable = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}
    set_status(scenario, {"phase": "Pending", "conditions": [unschedulable]})
    scenario.step()
    assert scenario.condition("Stalled")["status"] == "False"
    assert "0/3 nodes" in scenario.condition("Reconciling")["message"]


def test_a_revert_ends_it() -> None:
    scenario = running("shared-class")
    before = scenario.templates()
    scenario.edit(config={"enable_search": False})
    scenario.step()
    set_status(scenario, ended(78, "no"))
    scenario.step()
    scenario.edit(config=None)
    scenario.converge()
    assert preflights(scenario) == []
    assert scenario.templates() == before
    assert scenario.condition("Ready")["status"] == "True"


def test_another_edit_is_another_preflight() -> None:
    scenario = running("shared-class")
    scenario.edit(config={"enable_search": False})
    scenario.step()
    first = preflights(scenario)
    scenario.edit(config={"enable_search": True})
    scenario.step()
    assert preflights(scenario) != first
    assert len(preflights(scenario)) == 1


@pytest.mark.parametrize("failed", [False, True], ids=["while it runs", "after it failed"])
def test_drift_is_repaired_all_the_while(failed: bool) -> None:
    scenario = running("shared-class")
    scenario.edit(config={"enable_search": False})
    scenario.step()
    if failed:
        set_status(scenario, ended(78, "no"))
    selector = scenario.cluster.live[ObjectKey("Service", "aster-sync")]["spec"]["selector"]
    scenario.cluster.live[ObjectKey("Service", "aster-sync")]["spec"]["selector"] = {"else": "1"}
    scenario.cluster.forget(ObjectKey("Service", "aster-main-e1"))
    scenario.step()
    assert scenario.cluster.live[ObjectKey("Service", "aster-sync")]["spec"]["selector"] == selector
    assert ObjectKey("Service", "aster-main-e1") in scenario.cluster.live


def test_new_routes_and_processes_wait_with_the_rest() -> None:
    scenario = running("shared-class")
    more = {"name": "more", "serves": ["media"], "runs": ["mediaBackgroundJobs"]}
    scenario.edit(workers=[*scenario.body["spec"]["workers"], more])
    scenario.step()
    assert ObjectKey("Deployment", "aster-more-0") not in scenario.cluster.live
    assert ObjectKey("Ingress", "aster-media") not in scenario.cluster.live


def test_what_admission_adds_to_the_pod_is_left_there() -> None:
    """A pod cannot be changed: applying it again without the tolerations was refused for ever."""
    scenario = running("scheduling")
    scenario.edit(config={"enable_search": False})
    scenario.step()
    (name,) = preflights(scenario)
    assert len(scenario.cluster.live[ObjectKey("Pod", name)]["spec"]["tolerations"]) == 3
    assert scenario.decide().plan.empty


@pytest.mark.parametrize(
    "change",
    [{"ingress": {"className": "x"}}, {"main": {"resources": {"requests": {"cpu": 1}}}},
     {"mediaStore": {"volume": {"size": "99Gi"}}}],
    ids=["routes", "resources", "a volume's size"],
)  # fmt: skip
def test_what_synapse_does_not_read_needs_no_judgement(change: dict[str, Any]) -> None:
    scenario = running("shared-class")
    scenario.edit(**change)
    scenario.step()
    assert preflights(scenario) == []
