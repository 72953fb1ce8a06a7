"""Another database: fences do not see across, so everybody stops before anybody starts."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from tests.core.scenario import ROUNDS, Scenario
from tests.core.worlds import ALL, CLIENT, USUAL, usual

from homeserver_operator.api.names import ROLE_LABEL, STOPPED_FROM_ANNOTATION
from homeserver_operator.api.world import ObjectKey

pytestmark = pytest.mark.long

LOGIN = ObjectKey("Secret", "login")
SYNC = ObjectKey("Deployment", "rosebud-sync")
FIRST = {"host": "first", "credentials": {"secretName": "login"}}

MOVES: dict[str, dict[str, Any]] = {
    "another host": {**FIRST, "host": "second"},
    "another port": {**FIRST, "port": 6432},
    "another database": {**FIRST, "database": "matrix"},
    "the managed one": {},
}
STAYS: dict[str, dict[str, Any]] = {
    "more connections": {**FIRST, "connections": {"max": 20}},
    "encryption": {**FIRST, "sslMode": "require"},
}


def homeserver(**spec: Any) -> Scenario:
    scenario = Scenario(body=usual())
    scenario.cluster.references[LOGIN] = {"username": b"u", "password": b"p"}
    scenario.edit(postgres=FIRST, **spec)
    return scenario.converge()


def databases(scenario: Scenario) -> set[Any]:
    """That pods of Synapse use now."""
    maps = scenario.cluster.world.of_kind("ConfigMap")
    return {
        database(pod, maps)
        for pod in scenario.cluster.world.of_kind("Pod").values()
        if pod["metadata"]["labels"][ROLE_LABEL] in {"main", "worker"}
    }


def database(pod: Mapping[str, Any], maps: Mapping[str, Any]) -> Any:
    (files,) = (v["configMap"]["name"] for v in pod["spec"]["volumes"] if v["name"] == "process")
    arguments = yaml.safe_load(maps[files]["data"]["homeserver.yaml"])["database"]["args"]
    return tuple(map(arguments.get, ("host", "port", "dbname")))


def go_through(scenario: Scenario) -> list[set[Any]]:
    """The databases in use, after each reconcile and what follows from it."""
    seen = []
    for _ in range(ROUNDS):
        decision, told = scenario.step()
        # Pods that are made and go at once count as well.
        seen.append(databases(scenario))
        scenario.cluster.settle()
        seen.append(databases(scenario))
        if decision.plan.empty and told.status is None:
            return seen
    raise AssertionError(f"still busy with {decision.plan}")


@pytest.mark.parametrize("title", MOVES)
def test_everybody_stops_before_anybody_starts(title: str) -> None:
    scenario = homeserver()
    (before,) = databases(scenario)
    scenario.edit(postgres=MOVES[title])
    scenario.step()
    (wave,) = scenario.body["status"]["plan"]["waves"]
    assert {each["process"] for each in wave["restarts"]} == ALL
    for each in wave["restarts"]:
        words = "another database: every process stops before the first one starts"
        assert words in each["because"]
    seen = [databases(scenario), *go_through(scenario)]
    assert all(len(found) < 2 for found in seen)
    assert seen.index(set()) < len(seen) - 1, "there was nobody in between"
    (after,) = databases(scenario)
    assert before != after
    assert scenario.condition("Ready")["status"] == "True"
    assert scenario.cluster.live[SYNC]["spec"]["replicas"] == 2


@pytest.mark.parametrize("title", STAYS)
def test_the_same_database_in_another_way_stops_nobody(title: str) -> None:
    scenario = homeserver()
    scenario.edit(postgres=STAYS[title])
    assert set() not in go_through(scenario)


def test_it_is_told_whom_one_waits_for() -> None:
    scenario = homeserver()
    scenario.edit(postgres=MOVES["another host"])
    scenario.step()
    plan = scenario.body["status"]["plan"]
    assert plan["phase"] == "Switching"
    assert plan["because"].startswith("waiting for main, client, ")


def test_a_pod_that_does_not_end_is_waited_for() -> None:
    """As on a node that is lost: it may live."""
    scenario = homeserver()
    scenario.edit(postgres=MOVES["another host"])
    left = {
        key: {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-02-03T04:05:06Z"}}
        for key, pod in scenario.cluster.live.items()
        if key.kind == "Pod" and "client" in key.name
    }
    scenario.step()
    for _ in range(3):
        scenario.cluster.settle()
        scenario.cluster.live |= left
        scenario.step()
        assert len(databases(scenario)) == 1
    assert "waiting for client to end" in scenario.body["status"]["plan"]["because"]
    for key in left:
        del scenario.cluster.live[key]
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_without_consent_nobody_stops_and_what_has_begun_goes_on() -> None:
    scenario = homeserver(restartPolicy={"approval": "Manual"})
    templates = scenario.templates()
    scenario.edit(
        postgres=MOVES["another host"],
        workers=[*USUAL[:3], {**CLIENT, "replicas": 0}, USUAL[4]],
    )
    assert scenario.converge().templates() == templates
    assert len(databases(scenario)) == 1
    scenario.edit(restartPolicy={"approval": "Automatic"})
    scenario.step()
    scenario.edit(restartPolicy={"approval": "Manual"})
    scenario.converge()
    assert scenario.templates() != templates
    assert databases(scenario) == {("second", 5432, "synapse")}


def test_a_group_that_is_to_wake_with_it_is_no_consent() -> None:
    asleep = [*USUAL[:3], {**CLIENT, "replicas": 0}, USUAL[4]]
    scenario = homeserver(restartPolicy={"approval": "Manual"}, workers=asleep)
    templates = scenario.templates()
    scenario.edit(postgres=MOVES["another host"], workers=USUAL)
    assert scenario.converge().templates() == templates
    assert len(databases(scenario)) == 1
    scenario.edit(restartPolicy={"approval": "Automatic"})
    scenario.converge()
    assert databases(scenario) == {("second", 5432, "synapse")}


def test_taken_back_in_between_all_go_back() -> None:
    scenario = homeserver()
    (before,) = databases(scenario)
    scenario.edit(postgres=MOVES["another host"])
    scenario.step()
    scenario.cluster.settle()
    assert databases(scenario) == set()
    scenario.edit(postgres=FIRST)
    scenario.converge()
    assert databases(scenario) == {before}
    assert scenario.condition("Ready")["status"] == "True"


LEFT_OUT: dict[str, Any] = {
    "name": "sync", "serves": ["sync"], "resources": {"requests": {"cpu": 1}},
}  # fmt: skip
AUTOSCALE = {"minReplicas": 2, "maxReplicas": 9, "cpuUtilization": 70}
WITHOUT_A_NUMBER: dict[str, tuple[dict[str, Any], ...]] = {
    "nobody's": (LEFT_OUT,),
    "an autoscaler's": ({**LEFT_OUT, "autoscale": AUTOSCALE},),
    "an autoscaler's, and ours before": (
        {**LEFT_OUT, "replicas": 3}, {**LEFT_OUT, "autoscale": AUTOSCALE}),
}  # fmt: skip


@pytest.mark.parametrize("scaled", [None, 4], ids=["nobody scaled", "somebody scaled"])
@pytest.mark.parametrize("whose", WITHOUT_A_NUMBER)
def test_a_group_whose_number_is_others_starts_again_with_as_many_as_it_had(
    whose: str, scaled: int | None
) -> None:
    scenario = homeserver()
    for group in WITHOUT_A_NUMBER[whose]:
        scenario.edit(workers=[group])
        scenario.converge()
    if scaled:
        scenario.cluster.scale("rosebud-sync", scaled)
        scenario.cluster.settle()
        scenario.converge()
    before = scenario.cluster.live[SYNC]["spec"]["replicas"]
    scenario.edit(postgres=MOVES["another host"])
    assert all(len(found) < 2 for found in go_through(scenario))
    live = scenario.cluster.live[SYNC]
    assert live["spec"]["replicas"] == (scaled or before), "an autoscaler lets alone who has none"
    assert STOPPED_FROM_ANNOTATION not in live["metadata"]["annotations"]
    assert databases(scenario) == {("second", 5432, "synapse")}
    assert scenario.condition("Ready")["status"] == "True"


def test_nobody_of_a_stopped_group_starts_before_its_template_names_the_other_database() -> None:
    scenario = homeserver(workers=[LEFT_OUT])
    scenario.edit(postgres=MOVES["another host"])
    for _ in range(ROUNDS):
        decision, told = scenario.step()
        writes = [each for each in decision.plan.applies if each.key == SYNC]
        assert len({each.manager for each in writes}) < 2
        scenario.cluster.settle()
        if decision.plan.empty and told.status is None:
            return
    raise AssertionError(f"still busy with {decision.plan}")


def test_a_group_that_others_have_scaled_to_none_sleeps_on() -> None:
    scenario = homeserver(workers=[LEFT_OUT])
    scenario.cluster.scale("rosebud-sync", 0)
    scenario.cluster.settle()
    scenario.converge()
    scenario.edit(postgres=MOVES["another host"])
    scenario.converge()
    assert scenario.cluster.live[SYNC]["spec"]["replicas"] == 0
