"""Of more than the CRD holds the status tells a part, with a word on the rest, and stays valid."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core import case, kstatus
from tests.core.scenario import NOW, Scenario, running

from homeserver_operator.api.restarts import Phase, Restart, Wave
from homeserver_operator.api.world import World
from homeserver_operator.pipeline import Decision, report
from homeserver_operator.status.bounds import within_bounds

WRITERS = 70


@pytest.mark.long
def test_more_waves_than_are_shown_are_counted() -> None:
    """Each event persister restarts in a wave of its own."""
    group = {"name": "persister", "replicas": WRITERS, "writes": ["events"]}
    body = {
        "apiVersion": "homeserver-operator.io/v1alpha1",
        "kind": "HomeServer",
        "metadata": {"name": "rosebud"},
        "spec": {"serverName": "matrix.example.org", "workers": [group]},
    }
    scenario = running(body=case.as_stored(body))
    scenario.edit(logLevel="WARNING")
    scenario.step()
    plan = scenario.body["status"]["plan"]
    assert (len(plan["waves"]), plan["more"]) == (64, WRITERS + 1 - 64)
    told = plan["waves"]
    for _ in range(6):
        scenario.cluster.settle()
        scenario.step()
    plan = scenario.body["status"]["plan"]
    assert (plan["waves"], plan["more"]) == (told, WRITERS + 1 - 64)


@pytest.mark.parametrize(
    ("waves", "shown"),
    [
        pytest.param([600], [512], id="more in one wave than a list holds"),
        pytest.param([500, 1, 20, 1], [500, 1, 11], id="more in several waves than are shown"),
    ],
)
def test_more_processes_than_are_shown_are_counted(waves: list[int], shown: list[int]) -> None:
    scenario = running()
    scenario.edit(logLevel="WARNING")
    decision = with_waves(scenario.decide(), waves)
    scenario.body["status"] = told(scenario, decision)
    plan = scenario.body["status"]["plan"]
    assert [len(wave["restarts"]) for wave in plan["waves"]] == shown
    assert plan["more"] == sum(waves) - sum(shown)
    # It is over when another is wanted, and those that were not shown took part.
    scenario.body["status"]["plan"] = {**plan, "id": "another", "switchedAt": NOW}
    over = with_waves(decision, [], phase=None)
    assert told(scenario, over)["lastSwitch"]["processes"] == sum(waves)


def with_waves(decision: Decision, sizes: list[int], phase: Phase | None = Phase.HELD) -> Decision:
    """A decision that so many processes restart, for reasons that take long to tell."""
    waves = tuple(
        Wave(tuple(Restart(f"process-{wave}-{number}", "x" * 2000) for number in range(size)))
        for wave, size in enumerate(sizes)
    )
    outlook = decision.findings.outlook
    assert outlook
    restarts = replace(outlook.restarts, waves=waves, phase=phase)
    found = replace(decision.findings, outlook=replace(outlook, restarts=restarts))
    return replace(decision, findings=found)


def told(scenario: Scenario, decision: Decision, **states: Any) -> dict[str, Any]:
    """The status, which the CRD takes."""
    world = scenario.cluster.world
    world = World(world.children, world.references, world.replica_sets, states or world.states)
    found = report(scenario.body, decision, world, now=NOW).status
    assert found is not None
    kstatus.check({**scenario.body, "status": found})
    return dict(found)


def test_whatever_a_pod_says_of_itself_the_status_is_one_that_the_crd_takes() -> None:
    """Anybody may listen at a pod's address."""
    scenario = running()
    (main,) = (name for name in scenario.cluster.world.of_kind("Pod") if "main" in name)
    said = {
        "synapse": "1" * 1000,
        "phase": "s" * 1000,
        "revision": "r" * 1000,
        "fences": {"topology": 1 << 70, "push": -1, "federation": 3},
        "shard_maps": {"topology": "t" * 1000},
    }
    status = told(scenario, scenario.decide(), **{main: said})
    assert status["version"] == "1" * 63 + "…"
    (process,) = status["processes"]
    assert process["epochs"] == {"federation": 3}
    assert process["shardMaps"] == {"topology": "t" * 63 + "…"}


@pytest.mark.long
def test_what_fits_is_not_touched() -> None:
    status = running("example-large").body["status"]
    assert within_bounds(status) == status
