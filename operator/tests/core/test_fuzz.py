"""Whatever the API server could hand over: the core answers, and if it says no, changes nothing.

The specs come from the CRD's own schema, so that a new field is tried as soon as it exists.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from tests.core import schema_strategies
from tests.core.scenario import Scenario, running
from tests.core.strategies import USERS_SECRETS

from homeserver_operator.api.actions import Plan
from homeserver_operator.pipeline import decide, generate, references, report
from homeserver_operator.status.conditions import ACCEPTED

pytestmark = pytest.mark.long

bounded = settings(
    max_examples=40,
    # Shrinking takes minutes, and a whole spec reads well enough.
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def edited(spec: dict[str, Any]) -> Scenario:
    """A homeserver that runs, with its owner's new spec; the server name is immutable."""
    scenario = running("single-generic-worker")
    scenario.cluster.references |= USERS_SECRETS
    scenario.replace({**spec, "serverName": scenario.body["spec"]["serverName"]})
    return scenario


def judge(spec: dict[str, Any]) -> None:
    scenario = edited(spec)
    world = scenario.cluster.world
    orders = generate(scenario.body, world)
    assert references(scenario.body) is not None
    decision = decide(scenario.body, world, scenario.defaults, scenario.now)
    told = report(scenario.body, decision, world, now=scenario.now)
    assert told.status is not None, "the new generation is at least told of"
    conditions = {item["type"]: item for item in told.status["conditions"]}
    accepted = conditions[ACCEPTED]["status"] == "True"
    event("accepted" if accepted else conditions[ACCEPTED]["reason"])
    if not accepted:
        assert decision.plan == Plan(), "a refused spec changes nothing"
        assert conditions[ACCEPTED]["message"]
    # What it needs later is made early: a Secret that nothing mounts yet takes nothing down.
    assert all(order.kinds for order in orders)


@bounded
@given(schema_strategies.specs())
def test_a_spec_that_the_schema_takes_is_carried_out_or_refused(spec: dict[str, Any]) -> None:
    judge(spec)


@bounded
@given(schema_strategies.mangled())
def test_so_is_one_that_the_schema_would_refuse(spec: dict[str, Any]) -> None:
    judge(spec)
