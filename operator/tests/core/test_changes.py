"""The table of changes that the live tests go through, of the core alone."""

import copy
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from tests.core.case import as_stored
from tests.core.scenario import Scenario
from tests.core.worlds import BRIDGE_SECRET

from e2e.tests.switch.changes import GROWS, SHRINKS, Change, resources
from homeserver_operator.api.names import PROCESS_LABEL
from homeserver_operator.api.world import ObjectKey

pytestmark = pytest.mark.long

TABLE = [*GROWS, *SHRINKS]
REFERENCES = {ObjectKey("ConfigMap", "authority"): {"ca.crt": b"ca"}, **BRIDGE_SECRET}


@pytest.mark.parametrize("number", range(len(TABLE)), ids=[str(change) for change in TABLE])
def test_a_change_restarts_those_whom_it_concerns(number: int) -> None:
    change, outcome = TABLE[number], _outcomes()[number]
    assert outcome == {
        "restarts": change.restarts,
        "ends": set(change.ends),
        "starts": set(change.starts),
        "scales": set(change.scales),
        "rises": change.rises,
        "order": _order(change),
    }


def _order(change: Change) -> list[set[str]]:
    """What is told in the plan: who only starts is no restart."""
    if change.rises:
        return [{*change.restarts, *change.ends}]
    return [set(wave) for wave in change.waves]


@cache
def _outcomes() -> Sequence[dict[str, Any]]:
    """Each change builds on the one before, so all of them are one story."""
    return tuple(_go_through())


def _go_through() -> Iterator[dict[str, Any]]:
    scenario = Scenario(body=as_stored(resources()[0]))
    scenario.cluster.references |= REFERENCES
    scenario.converge()
    for change in TABLE:
        before, epochs = _templates(scenario), scenario.body["status"]["epochs"]
        numbers = _numbers(scenario)
        spec = copy.deepcopy(scenario.body["spec"])
        change.edit(spec)
        scenario.replace(spec)
        decision, _told = scenario.step()
        assert decision.findings.outlook is not None
        waves = decision.findings.outlook.restarts.waves
        scenario.converge()
        after, later = _templates(scenario), scenario.body["status"]["epochs"]
        yield {
            "restarts": {p for p in before.keys() & after.keys() if before[p] != after[p]},
            "ends": before.keys() - after.keys(),
            "starts": after.keys() - before.keys(),
            "scales": {p for p in after if p in numbers and _numbers(scenario)[p] != numbers[p]},
            "rises": {fence for fence, epoch in later.items() if epoch == epochs[fence] + 1},
            "order": [{restart.process for restart in wave.restarts} for wave in waves],
        }


def _templates(scenario: Scenario) -> dict[str, Any]:
    """By process, Redis and PostgreSQL among them."""
    return {
        live["metadata"]["labels"][PROCESS_LABEL]: live["spec"]["template"]
        for live in scenario.cluster.world.of_kind("Deployment").values()
    }


def _numbers(scenario: Scenario) -> dict[str, int]:
    return {
        live["metadata"]["labels"][PROCESS_LABEL]: live["spec"]["replicas"]
        for live in scenario.cluster.world.of_kind("Deployment").values()
    }
