"""What people and their tools are told: conditions, counts and events."""

from collections.abc import Callable

import pytest
from tests.core import kstatus
from tests.core.scenario import NOW, Scenario, running
from tests.core.troubles import (
    BRISK,
    LATER,
    a_user_secret_is_gone,
    deployment,
    main_crashes,
    main_exceeds_the_quota,
    main_is_down,
    main_is_refused,
    main_is_unscheduled,
    main_violates_pod_security,
    not_yet_observed,
    nothing,
    old_pods_are_left,
    one_of_two_is_down,
    others_exceed_the_quota,
    paused,
    ready,
    redis_is_down,
    the_spec_is_wrong,
)

from homeserver_operator.api.world import ObjectKey, World
from homeserver_operator.pipeline import decide, report
from homeserver_operator.status import APPLY_FAILED, WRITE_FAILED, Failure

WORLDS: dict[str, tuple[Callable[[Scenario], None], dict[str, str], str, str]] = {
    "everything is ready": (nothing,
        {"Ready": "True", "Available": "True", "Accepted": "True"}, "Current", "every process"),
    "a process has no ready pod": (main_is_down,
        {"Ready": "False", "Reconciling": "True", "Available": "False"}, "InProgress",
        "waiting for main (0/1)"),
    "a process crashes": (main_crashes,
        {"Ready": "False", "Reconciling": "True", "Available": "False"}, "InProgress",
        "no route to the database"),
    "Synapse refuses its configuration": (main_is_refused,
        {"Ready": "False", "Stalled": "True", "Available": "False"}, "Failed",
        "Missing server_name"),
    "a pod finds no node": (main_is_unscheduled,
        {"Ready": "False", "Reconciling": "True"}, "InProgress", "0/3 nodes"),
    "pods may not be made, by a quota": (main_exceeds_the_quota,
        {"Ready": "False", "Reconciling": "True"}, "InProgress",
        "cannot be made: pods \"x\" is forbidden: exceeded quota: small"),
    "pods may not be made, by Pod Security": (main_violates_pod_security,
        {"Ready": "False", "Stalled": "True"}, "Failed", "violates PodSecurity"),
    "pods may not be made of whom nobody waits for": (others_exceed_the_quota,
        {"Ready": "False", "Reconciling": "True"}, "InProgress", "waiting for main"),
    "one pod of two is not ready": (one_of_two_is_down,
        {"Ready": "False", "Reconciling": "True", "Available": "True"}, "InProgress",
        "waiting for brisk (1/2)"),
    "pods of the old template are still there": (old_pods_are_left,
        {"Ready": "False", "Reconciling": "True", "Available": "True"}, "InProgress",
        "waiting for brisk"),
    "the Deployment's controller has not looked yet": (not_yet_observed,
        {"Ready": "False", "Reconciling": "True"}, "InProgress", "waiting for brisk (0/2)"),
    "Redis is not ready": (redis_is_down,
        {"Ready": "False", "Reconciling": "True", "Available": "False"}, "InProgress",
        "waiting for redis"),
    "a Secret of the user's is missing": (a_user_secret_is_gone,
        {"Ready": "False", "Stalled": "True", "Accepted": "False", "Available": "True"}, "Failed",
        "spec.configFrom[0]: Secret mail does not exist"),
    "the spec is invalid": (the_spec_is_wrong,
        {"Ready": "False", "Stalled": "True", "Accepted": "False", "Available": "True"}, "Failed",
        "spec.config.redis"),
    "it is paused": (paused,
        {"Ready": "Unknown", "Paused": "True", "Reconciling": "False", "Stalled": "False"},
        "InProgress", "spec.paused"),
}  # fmt: skip


@pytest.mark.parametrize("title", WORLDS)
def test_conditions(title: str) -> None:
    arrange, expected, read, words = WORLDS[title]
    scenario = ready()
    arrange(scenario)
    scenario.step()
    for kind, status in expected.items():
        assert scenario.condition(kind)["status"] == status, kind
    assert words in scenario.condition("Ready")["message"]
    assert kstatus.read(scenario.body) == read


@pytest.mark.long
def test_ready_is_only_said_of_pods_that_are_ready_and_of_the_last_template() -> None:
    """Every combination of counts: Ready if, and only if, all pods are new and ready."""
    scenario = ready()
    for replicas in range(4):
        for updated in range(replicas + 1):
            for up in range(replicas + 1):
                deployment(scenario, BRISK, replicas=replicas, updatedReplicas=updated,
                           readyReplicas=up)  # fmt: skip
                scenario.step()
                good = up >= 2 and updated == replicas >= 2
                assert (scenario.condition("Ready")["status"] == "True") is good


def test_it_is_not_ready_before_what_it_wants_is_written() -> None:
    """Pods are as wanted, but the Ingress is not yet: whoever waits for Ready must not see it."""
    scenario = ready()
    scenario.edit(ingress={"className": "outer"})
    scenario.step()
    assert scenario.condition("Ready")["status"] == "False"
    assert scenario.condition("Reconciling")["status"] == "True"
    scenario.step()
    assert scenario.condition("Ready")["status"] == "True"


def test_a_new_homeserver_is_in_progress_from_its_first_reconcile() -> None:
    scenario = Scenario("shared-class")
    scenario.step()
    assert kstatus.read(scenario.body) == "InProgress"
    assert scenario.condition("Available")["status"] == "False"


def test_transition_times_move_with_the_status_only() -> None:
    scenario = ready()
    scenario.now = LATER
    main_is_down(scenario)
    scenario.step()
    assert scenario.condition("Ready")["lastTransitionTime"] == LATER
    assert scenario.condition("Accepted")["lastTransitionTime"] == NOW


def test_an_unchanged_status_is_not_written() -> None:
    scenario = ready()
    scenario.now = LATER
    _decision, told = scenario.step()
    assert told.status is None
    assert told.events == ()


def test_a_refused_write_is_said_until_it_succeeds() -> None:
    scenario = ready()
    scenario.edit(ingress={"className": "outer"})
    world = scenario.cluster.world
    decision = decide(scenario.body, world, scenario.defaults, scenario.now)
    told = report(
        scenario.body,
        decision,
        world,
        failure=Failure(APPLY_FAILED, "Ingress/aster-main: denied"),
        now=NOW,
    )
    assert told.status is not None
    scenario.body["status"] = told.status
    kstatus.check(scenario.body)
    assert scenario.condition("Stalled")["reason"] == "ApplyFailed"
    assert scenario.condition("Ready")["message"] == "Ingress/aster-main: denied"
    again = report(scenario.body, decision, world, now=NOW)
    assert again.status is None, "trying again is no news"
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_a_write_at_which_the_api_server_fails_is_said_until_it_succeeds() -> None:
    """It may pass by itself, as when an admission webhook is down: nobody is called."""
    scenario = ready()
    scenario.edit(ingress={"className": "outer"})
    world, decision = scenario.cluster.world, scenario.decide()
    failure = Failure(WRITE_FAILED, "Ingress/aster-main: failed calling webhook")
    told = report(scenario.body, decision, world, failure=failure, now=NOW)
    assert told.status is not None
    scenario.body["status"] = told.status
    kstatus.check(scenario.body)
    assert kstatus.read(scenario.body) == "InProgress"
    assert scenario.condition("Reconciling")["reason"] == "WriteFailed"
    assert scenario.condition("Ready")["message"] == failure.message
    assert [event.type for event in told.events] == ["Normal"]
    again = report(scenario.body, decision, world, now=NOW)
    assert again.status is None, "trying again is no news"
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_a_namesake_that_only_execution_finds_is_reported() -> None:
    scenario = ready()
    scenario.edit(ingress={"className": "outer"})
    key = ObjectKey("Service", "aster-sync")
    told = report(scenario.body, scenario.decide(), scenario.cluster.world, strangers=(key,),
                  now=NOW)  # fmt: skip
    assert told.status is not None
    kstatus.check({**scenario.body, "status": told.status})
    by_type = {c["type"]: c for c in told.status["conditions"]}
    assert by_type["Accepted"]["reason"] == "NameConflict"
    assert "Service aster-sync exist already" in by_type["Ready"]["message"]
    assert "rename" in by_type["Ready"]["message"]


def test_counts_for_people() -> None:
    scenario = ready()
    status = scenario.body["status"]
    assert status["workers"] == "3/3"
    assert status["serverName"] == "aster.example"
    assert status["groups"] == [
        {"name": "main", "desired": 1, "ready": 1},
        {"name": "brisk", "desired": 2, "ready": 2},
        {"name": "steady", "desired": 1, "ready": 1},
    ]
    one_of_two_is_down(scenario)
    scenario.step()
    assert scenario.body["status"]["workers"] == "2/3"


def test_the_version_is_what_main_says_of_itself() -> None:
    scenario = ready()
    world = scenario.cluster.world
    states = {"aster-brisk-pod0": {"synapse": "0"}, "aster-main-pod0": {"synapse": "1.163.2"}}
    world = World(world.children, world.references, world.replica_sets, states)
    told = report(scenario.body, scenario.decide(), world, now=NOW)
    assert told.status is not None
    assert told.status["version"] == "1.163.2"
    scenario.body["status"] = told.status
    scenario.step()
    assert scenario.body["status"]["version"] == "1.163.2", "kept while nobody answers"


def test_a_rejected_spec_keeps_what_was_said_of_what_runs() -> None:
    scenario = ready()
    before = scenario.body["status"]
    the_spec_is_wrong(scenario)
    scenario.step()
    for field in ("image", "workers", "groups", "generatedSecrets", "serverName"):
        assert scenario.body["status"][field] == before[field]


@pytest.mark.parametrize(("name", "told"), [("minimal", True), ("external-stores", False)])
def test_a_database_for_evaluation_says_so(name: str, told: bool) -> None:
    scenario = running(name)
    types = {condition["type"] for condition in scenario.body["status"]["conditions"]}
    assert ("EvaluationDatabase" in types) is told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("minimal", None),
        (
            "ingress-options",
            (
                "ingress-nginx is not told, for lack of words: hashing by user, only by access "
                "token (routes: sync, initial-sync); hashing by room (routes: event-sending)"
            ),
        ),
    ],
    ids=["nothing is lost", "hashing is lost"],
)
def test_what_the_ingress_controller_is_not_told_is_listed(name: str, told: str | None) -> None:
    scenario = running(name)
    found = {each["type"]: each for each in scenario.body["status"]["conditions"]}
    assert found.get("RoutingReduced", {}).get("message") == told
    assert found["Ready"]["status"] == "True"
