"""New pods stand beside the old ones when the plan is held again, and then nobody is ready."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.fencing import is_ready
from tests.core.scenario import Scenario, running
from tests.core.test_held import AT_NIGHT, DOWN, EDITS, LOUDER, MANUAL, MORE_WRITERS, bring_down
from tests.core.worlds import ALL, USUAL, usual

from homeserver_operator.api.names import NONE_SERVED, REVISION_LABEL, SERVED_ANNOTATION
from homeserver_operator.api.observed import is_synapse
from homeserver_operator.api.world import ObjectKey

IN_THE_WINDOW, AFTER_IT = "2026-02-03T22:30:00Z", "2026-02-03T23:30:00Z"
QUIET = {"logLevel": "ERROR"}
NEW = {"rosebud-persister-1"}
ALL_AT_ONCE = 10
LOGIN = {"name": "login", "replicas": 0, "serves": ["login"]}
MEND = {"resources": {"limits": {"memory": "2Gi"}}}
AUTOSCALED = {
    "name": "login",
    "serves": ["login"],
    "autoscale": {"minReplicas": 1, "maxReplicas": 3, "cpuUtilization": 70},
    "resources": {"requests": {"cpu": "500m"}},
}
SECRET = ObjectKey("Secret", "login")
ON = {"credentials": {"secretName": "login"}}


def of(**spec: Any) -> dict[str, Any]:
    """The usual HomeServer with other fields of its spec."""
    body = usual()
    return {**body, "spec": {**body["spec"], **spec}}


def begun(policy: dict[str, Any], edit: dict[str, Any]) -> Scenario:
    """New pods were made, and are not even warm yet."""
    scenario = running(body=of(restartPolicy={**policy, "maxWarming": ALL_AT_ONCE}))
    scenario.edit(**edit)
    scenario.converge()
    scenario.cluster.controllers.starts = scenario.cluster.controllers.enters = False
    scenario.now = IN_THE_WINDOW
    scenario.approve()
    before = scenario.templates()
    for _ in range(4):
        scenario.step()
        scenario.cluster.settle()
    assert before != scenario.templates()
    return scenario


def warm_up(scenario: Scenario) -> None:
    """What was made listens, and waits for its fences."""
    for key, live in scenario.cluster.live.items():
        if key.kind == "Pod":
            live["status"]["containerStatuses"][0]["started"] = True


def serve(scenario: Scenario, process: str, pod: str) -> None:
    """One pod of a process is ready."""
    live = scenario.cluster.live
    live[ObjectKey("Pod", pod)]["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    live[ObjectKey("Deployment", f"rosebud-{process}")]["status"] |= {
        "readyReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}],
    }


def stays(scenario: Scenario, down: set[str]) -> None:
    templates = serving(scenario)
    scenario.step()
    before = replica_sets(scenario)
    bring_down(scenario, down)
    for _ in range(3):
        scenario.step()
        assert (templates, before) == (serving(scenario), replica_sets(scenario))
    assert scenario.body["status"]["plan"]["phase"] == "Held"


def serving(scenario: Scenario) -> dict[str, Any]:
    """The templates of those who have served."""
    return {name: each for name, each in scenario.templates().items() if name not in NEW}


def ready_pods(scenario: Scenario) -> set[str]:
    pods = scenario.cluster.world.of_kind("Pod")
    return {each["metadata"]["uid"] for each in pods.values() if is_ready(each)}


def replica_sets(scenario: Scenario) -> dict[str, int]:
    sets = scenario.cluster.controllers.replica_sets
    return {name: each["spec"]["replicas"] for name, each in sets.items()}


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("down", DOWN.values(), ids=DOWN)
def test_a_window_that_has_closed_stays_closed(
    down: set[str], edit: dict[str, Any], *, warm: bool
) -> None:
    scenario = begun(AT_NIGHT, edit)
    scenario.now = AFTER_IT
    if warm:
        warm_up(scenario)
    stays(scenario, down)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("down", DOWN.values(), ids=DOWN)
def test_another_edit_waits_for_an_approval_of_its_own(
    down: set[str], edit: dict[str, Any]
) -> None:
    scenario = begun(MANUAL, edit)
    scenario.edit(**QUIET)
    stays(scenario, down)


@pytest.mark.parametrize("policy", [MANUAL, AT_NIGHT], ids=["for an approval", "for a window"])
@pytest.mark.parametrize(
    ("edit", "back"), [(MORE_WRITERS, {"workers": USUAL}), (LOUDER, {"logLevel": None})], ids=EDITS
)
def test_an_edit_is_taken_back_without_being_asked_for(
    edit: dict[str, Any], back: dict[str, Any], policy: dict[str, Any]
) -> None:
    """Who serves is as wanted then, and goes on."""
    scenario = begun(policy, edit)
    before = ready_pods(scenario)
    scenario.now = AFTER_IT
    scenario.edit(**back)
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"
    assert ready_pods(scenario) == before


def test_to_take_back_half_of_what_has_not_served_yet_waits() -> None:
    """Its pods are there already, but whoever serves would end for them."""
    scenario = begun(MANUAL, MORE_WRITERS)
    scenario.edit(**QUIET)
    scenario.step()
    scenario.approve()
    for _ in range(3):
        scenario.step()
        scenario.cluster.settle()
    scenario.edit(logLevel=None)
    stays(scenario, set())


def test_who_serves_again_when_an_edit_is_taken_back_is_remembered() -> None:
    scenario = begun(MANUAL, MORE_WRITERS)
    scenario.edit(workers=USUAL)
    scenario.step()
    scenario.edit(**QUIET)
    stays(scenario, ALL)


def test_who_never_came_up_is_edited_again_and_again_without_being_asked_for() -> None:
    scenario = Scenario(body=of(restartPolicy=MANUAL))
    scenario.cluster.controllers.enters = False
    scenario.step()
    for edit in (LOUDER, QUIET):
        before = scenario.templates()
        scenario.edit(**edit)
        scenario.step()
        scenario.cluster.settle()
        after = scenario.templates()
        assert {f"rosebud-{process}" for process in ALL} <= {
            name for name in after if before[name] != after[name]
        }


def test_a_group_that_never_came_up_from_none_is_mended_without_being_asked_for() -> None:
    """With no pods at all it was complete, which says nothing of those that came later."""
    scenario = running(body=of(restartPolicy=MANUAL, workers=[*USUAL, LOGIN]))
    scenario.cluster.controllers.enters = False
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3}])
    for _ in range(3):
        scenario.step()
        scenario.cluster.settle()
    before = scenario.templates()
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3, **MEND}])
    scenario.step()
    assert [name for name, each in scenario.templates().items() if before[name] != each] == [
        "rosebud-login"
    ]


def test_a_group_that_has_come_up_from_none_is_not() -> None:
    scenario = running(body=of(restartPolicy=MANUAL, workers=[*USUAL, LOGIN]))
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3}])
    scenario.converge()
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3, **MEND}])
    stays(scenario, {"login"})


@pytest.mark.parametrize("workers", [USUAL, [*USUAL, AUTOSCALED]], ids=["set", "scaled by others"])
def test_a_move_to_a_host_that_is_not_there_is_mended_without_being_asked_for(
    workers: list[dict[str, Any]],
) -> None:
    """Everybody stopped for it, so there is nothing to lose, and a window may be hours away."""
    scenario = Scenario(body=usual())
    scenario.cluster.references[SECRET] = {"username": b"u", "password": b"p"}
    scenario.edit(workers=workers, postgres={**ON, "host": "first"}, restartPolicy=AT_NIGHT)
    scenario.converge()
    scenario.now = IN_THE_WINDOW
    scenario.cluster.controllers.enters = False
    scenario.edit(postgres={**ON, "host": "secnd"})
    for _ in range(12):
        scenario.step()
        scenario.cluster.settle()
    scenario.now = AFTER_IT
    scenario.edit(postgres={**ON, "host": "second"})
    scenario.cluster.controllers.enters = True
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_an_edit_waits_that_is_seen_as_soon_as_somebody_serves() -> None:
    """Nothing of the template is written any more then, and it is remembered all the same."""
    scenario = running(body=of(restartPolicy=MANUAL, workers=[*USUAL, LOGIN]))
    scenario.cluster.controllers.enters = False
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3}])
    scenario.step()
    scenario.cluster.controllers.enters = True
    scenario.cluster.settle()
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3, **MEND}])
    stays(scenario, {"login"})


def handed_over(edit: dict[str, Any], ended: int | None = None) -> Scenario:
    """Old pods are told to end, all or so many processes', and no new one serves yet."""
    scenario = begun(MANUAL, edit)
    warm_up(scenario)
    while not (plan := scenario.decide().plan).scales:
        scenario.step()
        scenario.cluster.settle()
    scenario.cluster.execute(replace(plan, scales=plan.scales[:ended]))
    scenario.cluster.settle()
    return scenario


def test_an_edit_waits_while_nobody_serves_yet_after_a_hand_over() -> None:
    scenario = handed_over(MORE_WRITERS)
    assert not scenario.cluster.live[ObjectKey("Deployment", "rosebud-main")]["status"][
        "readyReplicas"
    ]
    scenario.edit(**{**MORE_WRITERS, **QUIET})
    stays(scenario, ALL)


def test_a_hand_over_that_has_only_begun_is_taken_back_without_being_asked_for() -> None:
    """By its revision, who was told to end already is as he was."""
    scenario = handed_over(MORE_WRITERS, ended=2)
    scenario.edit(workers=USUAL)
    scenario.cluster.controllers.enters = True
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_a_new_group_of_which_only_some_ever_served_waits_as_well() -> None:
    scenario = running(body=of(restartPolicy=MANUAL))
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3}])
    scenario.step()
    scenario.cluster.settle()
    bring_down(scenario, {"login"})
    pod = next(name for name in scenario.cluster.world.of_kind("Pod") if "login" in name)
    serve(scenario, "login", pod)
    scenario.step()
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 3, **MEND}])
    stays(scenario, {"login"})


def test_which_revision_served_last_is_noted() -> None:
    scenario = running(body=usual())
    for edit in ({}, LOUDER, {"workers": [*USUAL, LOGIN]}):
        scenario.edit(**edit)
        scenario.converge()
        for key, live in scenario.cluster.live.items():
            if key.kind == "Deployment" and is_synapse(live):
                served = live["spec"]["template"]["metadata"]["labels"][REVISION_LABEL]
                expected = served if live["spec"]["replicas"] else NONE_SERVED
                assert live["metadata"]["annotations"][SERVED_ANNOTATION] == expected
