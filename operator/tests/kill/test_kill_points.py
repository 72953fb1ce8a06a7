"""The operator may be killed before or after any of its writes: the end is the same."""

import asyncio
import random

import pytest
from tests.kill.mortal import Death, Moment
from tests.kill.run import Outcome, play, violations
from tests.kill.scenario import SCENARIOS, Scenario

from homeserver_operator.transport import Transport

pytestmark = pytest.mark.apiserver

SAMPLE = 2
"""Deaths per scenario in a quick run; `make soak` dies all of them."""

SEED = 20260101

AT_ONCE = 8
"""Runs beside each other, each in its namespace: most of a run is waiting for controllers."""

each_scenario = pytest.mark.parametrize(
    "scenario", [pytest.param(item, id=item.name) for item in SCENARIOS]
)


@each_scenario
async def test_some_deaths_change_nothing(scenario: Scenario, transport: Transport) -> None:
    reference = await play(transport, scenario)
    assert list(violations(reference, reference)) == []
    deaths = random.Random(SEED).sample(_deaths(reference), SAMPLE)  # noqa: S311 - a sample

    assert await _failures(transport, scenario, reference, deaths) == []


@pytest.mark.soak
@each_scenario
async def test_no_death_changes_anything(scenario: Scenario, transport: Transport) -> None:
    reference = await play(transport, scenario)
    # Without this a rule that even an undisturbed run breaks would go unnoticed.
    assert list(violations(await play(transport, scenario), reference)) == []

    assert await _failures(transport, scenario, reference, _deaths(reference)) == []


def _deaths(reference: Outcome) -> list[Death]:
    """All that can differ: right before a write of the same reconcile is right after the last."""
    assert reference.writes, "without a write there is no point at which to die"
    return [
        Death(number, moment)
        for number, write in enumerate(reference.writes)
        for moment in Moment
        if moment is Moment.AFTER or write.first
    ]


async def _failures(
    transport: Transport, scenario: Scenario, reference: Outcome, deaths: list[Death]
) -> list[str]:
    """What went wrong, by death: all of it, because one death says little about the next."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def die(death: Death) -> list[str]:
        async with slots:
            outcome = await play(transport, scenario, death)
        wrong = [*violations(outcome, reference)]
        if not outcome.died:
            wrong.append("it lived: this run had fewer writes than the reference")
        about = f"write {death.write} ({reference.writes[death.write]}), {death.moment.value}"
        return [f"{about}: {text}" for text in wrong]

    found = await asyncio.gather(*map(die, deaths))
    return [text for texts in found for text in texts]
