"""When the pools of all processes may open more connections than PostgreSQL lets in."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core import kstatus
from tests.core.scenario import NOW, Scenario, running
from tests.core.worlds import usual

from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.pipeline import decide, report

TYPE = "ConnectionBudgetExceeded"
EXTERNAL = {"host": "pg", "credentials": {"secretName": "login"}}

GROUPS: dict[str, tuple[list[dict[str, Any]], int]] = {
    "main alone": ([], 1),
    "a group that only serves, and the pod more of its rollout": (
        [{"name": "bee", "serves": ["sync"], "replicas": 3}], 1 + 4),
    "a group of none": ([{"name": "bee", "serves": ["sync"], "replicas": 0}], 1),
    "a group that whoever scales has left at one": ([{"name": "bee", "serves": ["sync"]}], 1 + 2),
    "an autoscaled group at its maximum": (
        [{"name": "bee", "serves": ["sync"],
          "autoscale": {"maxReplicas": 7, "metrics": [{"type": "Pods"}]}}], 1 + 8),
    "writers, which stop before they start": (
        [{"name": "bee", "writes": ["events"], "replicas": 3}], 1 + 3),
}  # fmt: skip


def told(
    scenario: Scenario, limits: dict[str, Any], starts: dict[str, str] | None = None
) -> Object | None:
    """The condition, given what each pod (by its process's name) says of max_connections."""
    world = scenario.cluster.world
    states = {f"rosebud-{n}-pod0": {"database": {"max_connections": m}} for n, m in limits.items()}
    for name, started in (starts or {}).items():
        pod: Any = world.of_kind("Pod")[f"rosebud-{name}-pod0"]
        pod["status"]["containerStatuses"] = [{"state": {"running": {"startedAt": started}}}]
    seen = World(world.children, world.references, world.replica_sets, states)
    decision = decide(scenario.body, seen, scenario.defaults, scenario.now)
    status = report(scenario.body, decision, seen, now=NOW).status or scenario.body["status"]
    kstatus.check({**scenario.body, "status": status})
    return next((item for item in status["conditions"] if item["type"] == TYPE), None)


def homeserver(groups: list[dict[str, Any]], **postgres: Any) -> Scenario:
    loaded = usual()
    spec = {**loaded["spec"], "workers": groups, "postgres": postgres}
    scenario = Scenario(body={**loaded, "spec": spec})
    login = {"username": b"u", "password": b"p"}
    scenario.cluster.references[ObjectKey("Secret", "login")] = login
    return scenario.converge()


@pytest.mark.parametrize("group", GROUPS)
def test_it_warns_exactly_when_the_pools_do_not_fit(group: str) -> None:
    groups, pods = GROUPS[group]
    scenario = homeserver(groups, connections={"max": 10})
    needed = pods * 10 + 3
    assert told(scenario, {"main": needed}) is None
    warning = told(scenario, {"main": needed - 1})
    assert warning is not None
    assert warning["status"] == "True"
    assert f"{pods} pods may run at once" in warning["message"]
    assert f"that is {needed}" in warning["message"]


def test_what_was_scaled_by_hand_counts() -> None:
    scenario = homeserver([{"name": "bee", "serves": ["sync"]}], connections={"max": 10})
    assert told(scenario, {"main": 100}) is None
    scenario.cluster.scale("rosebud-bee", 9)
    scenario.cluster.settle()
    assert told(scenario, {"main": 100}) is not None


def test_it_says_what_to_do_about_an_external_database() -> None:
    group = {"name": "bee", "writes": ["events"], "replicas": 9}
    warning = told(homeserver([group], **EXTERNAL), {"main": 63})
    assert warning is not None
    assert "max_connections was 63" in warning["message"]
    assert "raise max_connections to at least 103 and restart it" in warning["message"]
    assert "lower spec.postgres.connections.max to 6" in warning["message"]
    assert "or lower the number of processes" in warning["message"]


@pytest.mark.long
def test_it_says_what_to_do_about_the_managed_database() -> None:
    group = {"name": "bee", "writes": ["events"], "replicas": 40}
    warning = told(homeserver([group]), {"main": 300})
    assert warning is not None
    assert "set spec.postgres.host to a PostgreSQL with max_connections 413" in warning["message"]


def test_it_advises_no_pool_of_nothing() -> None:
    warning = told(homeserver([{"name": "bee", "writes": ["events"], "replicas": 9}]), {"main": 8})
    assert warning is not None
    assert "connections.max" not in warning["message"]


@pytest.mark.parametrize("answer", [None, "many", -1, 0])
def test_what_is_not_known_is_no_warning(answer: object) -> None:
    assert told(running(body=usual()), {"main": answer}) is None
    assert told(running(body=usual()), {}) is None


def test_a_state_that_makes_no_sense_is_no_warning() -> None:
    scenario = running(body=usual())
    world = scenario.cluster.world
    states = {name: {**state, "database": "none"} for name, state in world.states.items()}
    senseless = replace(world, states=states)
    decision = decide(scenario.body, senseless, scenario.defaults, scenario.now)
    assert report(scenario.body, decision, senseless, now=NOW).status is None


def test_who_started_last_knows_whether_the_limit_was_raised() -> None:
    """Each process looks when it starts, so old ones go on telling the old limit."""
    scenario = running(body=usual())
    limits, early, late = (
        {"main": 20, "client": 999},
        "2026-02-03T01:00:00Z",
        "2026-02-03T02:00:00Z",
    )
    assert told(scenario, limits, {"main": early, "client": late}) is None
    assert told(scenario, limits, {"main": late, "client": early}) is not None


@pytest.mark.long
@settings(max_examples=30, derandomize=True)
@given(pool=st.integers(1, 40), writers=st.integers(0, 20), limit=st.integers(1, 900))
def test_following_its_advice_ends_it(pool: int, writers: int, limit: int) -> None:
    groups = [{"name": "bee", "writes": ["events"], "replicas": writers}] if writers else []
    sizes = {"connections": {"min": 1, "max": pool}}
    scenario = _built(groups, sizes)
    warning = told(scenario, {"main": limit})
    if warning is None:
        return
    words = warning["message"].replace(",", " ").split()
    raised = int(words[words.index("least") + 1])
    assert told(scenario, {"main": raised}) is None
    assert told(scenario, {"main": raised - 1}) is not None
    if "spec.postgres.connections.max" in words:
        lowered = int(words[words.index("spec.postgres.connections.max") + 2])
        sizes = {"connections": {"min": 1, "max": lowered}}
        assert told(_built(groups, sizes), {"main": limit}) is None


def _built(groups: list[dict[str, Any]], sizes: dict[str, Any]) -> Scenario:
    """Main's pod is there, nothing else: a property needs no whole story."""
    scenario = homeserver([], **EXTERNAL)
    scenario.edit(workers=groups, postgres={**EXTERNAL, **sizes})
    return scenario
