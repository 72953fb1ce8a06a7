"""Who decides the number of processes, and how it changes hands without a change of the number."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.cluster import owners_of_replicas
from tests.core.scenario import ROUNDS, Scenario, running
from tests.core.worlds import SYNC, usual

from homeserver_operator.api.actions import Plan
from homeserver_operator.api.names import FIELD_MANAGER, SCALE_MANAGER
from homeserver_operator.api.world import ObjectKey

NAME = "rosebud-sync"
KEY = ObjectKey("Deployment", NAME)
AUTOSCALER = ObjectKey("HorizontalPodAutoscaler", NAME)

OURS = {**SYNC, "replicas": 3}
LEFT_OUT = {name: value for name, value in SYNC.items() if name != "replicas"}
AUTOSCALED: dict[str, Any] = {
    **LEFT_OUT,
    "autoscale": {"minReplicas": 2, "maxReplicas": 9, "cpuUtilization": 70},
    "resources": {"requests": {"cpu": "500m"}},
}
MEASURED = {**OURS, "resources": {"requests": {"cpu": "500m"}}}
"""`OURS` with what an autoscaler needs, so that going over to it changes no pod."""


def group(scenario: Scenario, wanted: dict[str, Any]) -> None:
    scenario.edit(workers=[wanted])


def scaled(wanted: dict[str, Any]) -> Scenario:
    return running(body={**usual(), "spec": {**usual()["spec"], "workers": [wanted]}})


def replicas(scenario: Scenario) -> int:
    return int(scenario.cluster.live[KEY]["spec"]["replicas"])


def owners(scenario: Scenario) -> set[str]:
    return owners_of_replicas(scenario.cluster.world.children[KEY])


@pytest.mark.parametrize(
    ("before", "after"), [(OURS, LEFT_OUT), (MEASURED, AUTOSCALED)], ids=["nobody", "an autoscaler"]
)
def test_a_number_that_is_handed_over_stays(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What we alone own and leave out would fall to one pod."""
    scenario = scaled(before)
    templates = scenario.templates()
    group(scenario, after)
    for _ in range(4):
        scenario.step()
        assert replicas(scenario) == 3
    assert owners(scenario) == {SCALE_MANAGER}
    assert scenario.templates() == templates
    assert scenario.converge().decide().plan.empty


def test_the_second_manager_takes_the_number_before_the_first_lets_go() -> None:
    scenario = scaled(OURS)
    group(scenario, LEFT_OUT)
    first, second = (a for a in scenario.decide().plan.applies if a.key == KEY)
    assert (first.manager, first.manifest["spec"]) == (SCALE_MANAGER, {"replicas": 3})
    version = scenario.cluster.live[KEY]["metadata"]["resourceVersion"]
    assert first.manifest["metadata"]["resourceVersion"] == version
    assert second.manager == FIELD_MANAGER
    assert "replicas" not in second.manifest["spec"]
    assert {first.uid, second.uid} == {scenario.cluster.live[KEY]["metadata"]["uid"]}


CHANGES: dict[str, tuple[list[dict[str, Any]], int]] = {
    "ours to nobody's": ([OURS, LEFT_OUT], 3),
    "ours to an autoscaler's": ([MEASURED, AUTOSCALED], 3),
    "nobody's to ours": ([LEFT_OUT, OURS], 3),
    "an autoscaler's to ours": ([AUTOSCALED, MEASURED], 3),
    "ours, handed over, and to another number of ours": (
        [MEASURED, AUTOSCALED, {**MEASURED, "replicas": 4}], 4),
    "ours, handed over, and to the same number of ours": ([MEASURED, AUTOSCALED, MEASURED], 3),
    "ours, handed over, taken back, and handed over again": (
        [OURS, LEFT_OUT, OURS, LEFT_OUT], 3),
    "none at all to an autoscaler's, which none would switch off": (
        [{**MEASURED, "replicas": 0}, AUTOSCALED], 1),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES)
def test_an_operator_may_die_after_any_write_of_a_change_of_hands(change: str) -> None:
    (first, *then, after), expected = CHANGES[change]
    count = 0
    while True:
        scenario = scaled(first)
        for wanted in then:
            group(scenario, wanted)
            scenario.converge()
        group(scenario, after)
        plan = scenario.decide().plan
        scenario.cluster.execute(Plan(applies=plan.applies[:count]))
        assert replicas(scenario.converge()) == expected
        assert (FIELD_MANAGER in owners(scenario)) is ("replicas" in after)
        if "replicas" in after:
            assert SCALE_MANAGER not in owners(scenario), "it would linger"
        if count == len(plan.applies):
            return
        count += 1


@pytest.mark.parametrize("written", [0, 1, 2], ids=["before", "between", "after"])
def test_who_scales_during_a_change_of_hands_wins(written: int) -> None:
    scenario = scaled(MEASURED)
    group(scenario, AUTOSCALED)
    plan = scenario.decide().plan
    on_it = [apply for apply in plan.applies if apply.key == KEY]
    scenario.cluster.execute(Plan(applies=tuple(on_it[:written])))
    scenario.cluster.scale(NAME, 7)
    assert replicas(scenario.converge()) == 7
    assert FIELD_MANAGER not in owners(scenario)


def test_what_we_own_by_a_scale_and_not_by_an_apply_is_no_cause_to_write_for_ever() -> None:
    """As former versions of the operator did: no apply takes that away."""
    scenario = scaled(OURS)
    scenario.cluster.scale(NAME, 5, manager=FIELD_MANAGER)
    group(scenario, LEFT_OUT)
    assert replicas(scenario.converge()) == 5
    assert scenario.condition("Ready")["status"] == "True"


def test_a_group_that_was_let_go_and_is_wanted_after_all_starts_again() -> None:
    """It was stopped in a switch, and nobody sets its number."""
    writer = {"name": "writer", "replicas": 1, "writes": ["events"]}
    scenario = scaled(LEFT_OUT)
    scenario.edit(workers=[writer])
    for _ in range(ROUNDS):
        scenario.step()
        if not replicas(scenario):
            break
        scenario.cluster.settle()
    scenario.edit(workers=[LEFT_OUT, writer])
    assert replicas(scenario.converge()) == 1
    assert scenario.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("before", [LEFT_OUT, OURS], ids=["never ours", "ours before"])
def test_a_group_that_others_scale_to_none_sleeps(before: dict[str, Any]) -> None:
    scenario = scaled(before)
    group(scenario, LEFT_OUT)
    scenario.converge()
    scenario.cluster.scale(NAME, 0)
    scenario.cluster.settle()
    assert replicas(scenario.converge()) == 0
    scenario.edit(logLevel="DEBUG")
    assert replicas(scenario.converge()) == 0


def test_a_number_that_changed_since_it_was_looked_at_is_not_put_back() -> None:
    scenario = scaled(OURS)
    group(scenario, LEFT_OUT)
    plan = scenario.decide().plan
    scenario.cluster.scale(NAME, 7)
    with pytest.raises(Exception, match="another version"):
        scenario.cluster.execute(plan)
    assert replicas(scenario) == 7


def test_an_autoscalers_number_is_never_fought_and_restarts_nothing() -> None:
    scenario = scaled(AUTOSCALED)
    templates = scenario.templates()
    scenario.cluster.scale(NAME, 5, manager="kube-controller-manager")
    assert scenario.decide().plan.empty
    assert scenario.templates() == templates
    scenario.edit(logLevel="DEBUG")
    assert replicas(scenario.converge()) == 5, "not even by an apply for another reason"


def test_people_are_told_the_number_that_is_wanted_now() -> None:
    scenario = scaled(AUTOSCALED)
    scenario.cluster.scale(NAME, 5, manager="kube-controller-manager")
    scenario.step()
    assert scenario.body["status"]["workers"] == "1/5"
    scenario.cluster.settle()
    scenario.converge()
    assert scenario.body["status"]["workers"] == "5/5"
    assert {"name": "sync", "desired": 5, "ready": 5} in scenario.body["status"]["groups"]


def test_an_autoscaler_that_is_no_longer_wanted_goes() -> None:
    scenario = scaled(AUTOSCALED)
    assert AUTOSCALER in scenario.cluster.live
    group(scenario, MEASURED)
    scenario.converge()
    assert AUTOSCALER not in scenario.cluster.live


WAITS = {"approval": "Manual"}
PERSISTER_BESIDE = {"name": "persister", "replicas": 1, "writes": ["events"]}


@pytest.mark.parametrize("policy", [WAITS, {}], ids=["held", "under way"])
def test_a_number_instead_of_an_autoscaler_holds_during_a_switch(policy: dict[str, Any]) -> None:
    """The two would write in turns."""
    scenario = scaled(AUTOSCALED)
    scenario.cluster.scale(NAME, 5, manager="kube-controller-manager")
    scenario.edit(workers=[MEASURED, PERSISTER_BESIDE], restartPolicy=policy)
    scenario.step()
    outlook = scenario.decide().findings.outlook
    assert outlook
    assert outlook.restarts.switch
    assert AUTOSCALER not in scenario.cluster.live
    assert replicas(scenario) == 3


def test_an_autoscaler_is_there_for_who_runs_while_a_switch_waits() -> None:
    """Half of an edit is taken back, and its bounds change meanwhile."""
    scenario = scaled(AUTOSCALED)
    scenario.edit(workers=[MEASURED, PERSISTER_BESIDE], restartPolicy=WAITS)
    scenario.converge()
    assert AUTOSCALER not in scenario.cluster.live
    for most in (9, 12):
        bounds = {**AUTOSCALED["autoscale"], "maxReplicas": most}
        scenario.edit(workers=[{**AUTOSCALED, "autoscale": bounds}, PERSISTER_BESIDE])
        scenario.converge()
        assert scenario.body["status"]["plan"]["phase"] == "Held"
        assert scenario.cluster.live[AUTOSCALER]["spec"]["maxReplicas"] == most


def test_a_group_that_goes_is_scaled_until_a_switch_comes() -> None:
    scenario = scaled(AUTOSCALED)
    scenario.edit(workers=[PERSISTER_BESIDE], restartPolicy=WAITS)
    scenario.converge()
    assert AUTOSCALER in scenario.cluster.live


def test_a_number_that_somebody_else_changed_is_still_ours() -> None:
    scenario = scaled(OURS)
    scenario.cluster.scale(NAME, 7)
    assert replicas(scenario.converge()) == 3
    assert owners(scenario) == {FIELD_MANAGER}


@pytest.mark.parametrize(
    ("value", "live", "alike"),
    [("1000m", "1", True), (2000, "2k", True), ("1000m", "2", False)],
)
def test_a_metrics_quantity_in_other_words_is_no_difference(
    value: object, live: str, alike: bool
) -> None:
    scenario = scaled(AUTOSCALED)
    target = {"type": "AverageValue", "averageValue": value}
    metric = {"type": "Pods", "pods": {"metric": {"name": "busy"}, "target": target}}
    autoscale: dict[str, Any] = {**AUTOSCALED["autoscale"], "metrics": [metric]}
    group(scenario, {**AUTOSCALED, "autoscale": autoscale})
    scenario.converge()
    stored = scenario.cluster.live[AUTOSCALER]["spec"]["metrics"][1]["pods"]["target"]
    stored["averageValue"] = live
    assert scenario.decide().plan.empty is alike


Break = Callable[[dict[str, Any]], object]

DRIFTS: dict[str, tuple[ObjectKey, Break]] = {
    "a bound of the autoscaler": (AUTOSCALER, lambda spec: spec.update(maxReplicas=99)),
    "another type of target": (
        AUTOSCALER, lambda spec: spec["metrics"][0]["resource"]["target"].update(type="Value")),
    "the budget of the group": (
        ObjectKey("PodDisruptionBudget", NAME), lambda spec: spec.update(maxUnavailable=0)),
    "a policy's pods": (
        ObjectKey("NetworkPolicy", "rosebud-clients"),
        lambda spec: spec["podSelector"]["matchLabels"].update(more="label")),
    "a port more in a policy": (
        ObjectKey("NetworkPolicy", "rosebud-replication"),
        lambda spec: spec["ingress"][0]["ports"].append({"port": 1, "protocol": "TCP"})),
    "a peer more in a policy": (
        ObjectKey("NetworkPolicy", "rosebud-redis"),
        lambda spec: spec["ingress"][0]["from"].append({"namespaceSelector": {}})),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_is_changed_by_hand_is_put_back(drift: str) -> None:
    key, change = DRIFTS[drift]
    scenario = scaled(AUTOSCALED)
    change(scenario.cluster.live[key]["spec"])
    assert {apply.key for apply in scenario.decide().plan.applies} == {key}
