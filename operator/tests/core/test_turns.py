"""Few new pods warm up at a time, in their order; whom that would harm does not wait."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.cluster import copied, processes
from tests.core.scenario import Scenario, running
from tests.core.worlds import ALL, CLIENT, MEDIA, PERSISTER, SENDER, SYNC, usual

from homeserver_operator.api.names import PROCESS_LABEL
from homeserver_operator.api.world import ObjectKey

IMAGE = {"image": "runtime.invalid/synapse:8"}
LOUDER = {"logLevel": "DEBUG"}
MORE_WRITERS = {"workers": [SYNC, SENDER, {**PERSISTER, "replicas": 3}, CLIENT, MEDIA]}


def nothing(_scenario: Scenario) -> None:
    """Everybody serves."""


def down(*names: str) -> Callable[[Scenario], None]:
    """No pod of these processes is ready."""

    def arrange(scenario: Scenario) -> None:
        for process in names:
            live = scenario.cluster.live[ObjectKey("Deployment", f"rosebud-{process}")]
            live["status"]["readyReplicas"] = 0

    return arrange


def begun(**spec: Any) -> Callable[[Scenario], None]:
    """Another edit came before, and its first pods are not warm yet."""

    def arrange(scenario: Scenario) -> None:
        start(scenario, **spec)

    return arrange


def start(scenario: Scenario, **spec: Any) -> set[str]:
    """Who gets new pods, which do not get warm, for an edit or for what happened since the last."""
    if spec:
        scenario.edit(**spec)
    before = scenario.templates()
    scenario.step()
    after = scenario.templates()
    for key in list(scenario.cluster.live):
        if key.kind == "Deployment" and before.get(key.name) != after[key.name]:
            scenario.cluster.controllers.surge(key, scenario.cluster.live)
    return {
        name.removeprefix("rosebud-") for name in after if before.get(name) != after[name]
    } & processes(scenario.cluster.world)


def warm(scenario: Scenario, *names: str, most: int = 99) -> None:
    """New pods of these processes have started, or so many of each."""
    for name in names:
        cold = [
            status
            for key, pod in scenario.cluster.live.items()
            if key.kind == "Pod" and pod["metadata"]["labels"].get(PROCESS_LABEL) == name
            for status in pod["status"]["containerStatuses"]
            if not status["started"]
        ]
        for status in cold[:most]:
            status["started"] = True


FIRST: dict[str, tuple[Callable[[Scenario], None], dict[str, Any], int, set[str]]] = {
    "a switch begins with as many pods as may warm up": (
        nothing, IMAGE, 3, {"main", "client", "media-0"}),
    "with room for all they start together": (nothing, IMAGE, 99, ALL),
    "one at a time, main is first": (nothing, IMAGE, 1, {"main"}),
    "new processes of a switch wait like the others": (
        nothing, MORE_WRITERS, 5, {"main", "client", "media-0", "persister-0", "persister-1"}),
    "who restarts without an epoch waits within the wave": (nothing, LOUDER, 1, {"client"}),
    "one of which no pod is ready does not wait": (
        down("sync"), IMAGE, 3, {"main", "sync"}),
    "where nobody serves nobody waits": (down(*ALL), IMAGE, 1, ALL),
    "another edit goes on with the cold pods of the one before": (
        begun(**IMAGE), MORE_WRITERS, 3, {"main", "client", "media-0"}),
}  # fmt: skip


@pytest.mark.parametrize("title", FIRST)
def test_who_starts_first(title: str) -> None:
    arrange, edit, most, expected = FIRST[title]
    scenario = running(body=usual())
    scenario.edit(restartPolicy={"maxWarming": most})
    arrange(scenario)
    assert start(scenario, **edit) == expected


@pytest.mark.long
def test_the_next_start_when_those_before_are_warm() -> None:
    """The group of two pods has its turn when nobody else warms up."""
    scenario = running(body=usual())
    turns = []
    found = start(scenario, restartPolicy={"maxWarming": 1}, **IMAGE)
    while found:
        turns.append(found)
        assert not start(scenario), "somebody did not wait"
        warm(scenario, *found)
        found = start(scenario)
    assert [len(found) for found in turns] == [1] * len(ALL)
    assert set().union(*turns) == ALL
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("edit", [IMAGE, LOUDER], ids=["in a switch", "in a wave"])
def test_who_never_gets_warm_keeps_the_rest_from_starting_but_not_from_going_back(
    edit: dict[str, Any],
) -> None:
    scenario = running(body=usual())
    before = scenario.templates()
    old = scenario.body["spec"]
    found = start(scenario, restartPolicy={"maxWarming": 2}, **edit)
    assert len(found) == 2
    assert not start(scenario)
    scenario.replace(old | {"restartPolicy": {"maxWarming": 1}})
    assert start(scenario) == found
    assert scenario.templates() == before


@pytest.mark.parametrize("edit", [IMAGE, LOUDER], ids=["in a switch", "in a wave"])
def test_a_mistake_may_be_corrected_together_with_how_many_warm_up(edit: dict[str, Any]) -> None:
    """New pods in place of others that never get warm are no more than there were."""
    scenario = running(body=usual())
    found = start(scenario, restartPolicy={"maxWarming": 3}, **edit)
    assert len(found) > 1
    assert not start(scenario)
    right = {"image": "runtime.invalid/synapse:9", "logLevel": "WARNING"}
    corrected = {name: right[name] for name in edit}
    assert start(scenario, restartPolicy={"maxWarming": 1}, **corrected) == found
    assert not start(scenario), "somebody did not wait"
    warm(scenario, *found)
    assert len(start(scenario)) == 1, "nobody goes on"


def test_what_got_warm_of_a_mistake_does_not_keep_its_correction_from_starting() -> None:
    """Each group has more new pods than cold ones, and these never get warm: somebody begins."""
    groups = [{**group, "replicas": 3} for group in (SYNC, CLIENT)]
    scenario = running(body={**usual(), "spec": {**usual()["spec"], "workers": groups}})
    most = {"restartPolicy": {"maxWarming": 6}}
    assert start(scenario, **most, **LOUDER) == {"sync", "client"}
    warm(scenario, "sync", "client", most=1)
    found = start(scenario, restartPolicy={"maxWarming": 4}, logLevel="WARNING")
    assert found == {"client"}
    assert not start(scenario), "somebody did not wait"
    warm(scenario, *found)
    assert start(scenario) == {"sync"}


def test_who_waits_is_scaled_all_the_same() -> None:
    scenario = running(body=usual())
    start(scenario, restartPolicy={"maxWarming": 1}, **IMAGE)
    scenario.edit(workers=[{**SYNC, "replicas": 1}, SENDER, PERSISTER, CLIENT, MEDIA])
    assert not start(scenario)
    live = scenario.cluster.live[ObjectKey("Deployment", "rosebud-sync")]
    assert live["spec"]["replicas"] == 1


def test_new_processes_of_a_switch_that_has_begun_do_not_wait() -> None:
    """Somebody new has entered already, because the old ones had ended: the others are missed."""
    scenario = running(body=usual())
    first = start(scenario, restartPolicy={"maxWarming": 1}, **MORE_WRITERS)
    assert first == {"main"}
    for key in [key for key in scenario.cluster.live if key.kind == "Pod"]:
        pod = scenario.cluster.live[key]
        if pod["metadata"]["labels"].get(PROCESS_LABEL) == "main":
            ready = pod["status"]["containerStatuses"][0]["started"] is False
            pod["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    assert start(scenario) == ALL - first | {"persister-1", "persister-2"}


def test_a_switch_that_is_held_in_the_middle_starts_nobody_more() -> None:
    """The window closes; in the next one it goes on with those who are left."""
    scenario = running(body=usual())
    closing = {"maintenanceWindows": [{"start": "04:00", "duration": "15m"}], "maxWarming": 2}
    first = start(scenario, restartPolicy=closing, **IMAGE)
    assert len(first) == 2
    warm(scenario, *first)
    scenario.now = "2026-02-03T04:20:00Z"
    assert not start(scenario)
    assert scenario.body["status"]["plan"]["phase"] == "Held"
    scenario.now = "2026-02-04T04:01:00Z"
    assert len(start(scenario)) == 2


def test_people_are_told_who_waits_for_its_turn() -> None:
    scenario = running(body=usual())
    start(scenario, restartPolicy={"maxWarming": 4}, **IMAGE)
    before = copied(scenario.body["status"]["plan"])
    assert before["phase"] == "Warming"
    assert before["because"] == (
        "waiting for main, client, media-0, persister-0 to be warm, then for sender-0, sync "
        "(spec.restartPolicy.maxWarming); the old processes serve"
    )
