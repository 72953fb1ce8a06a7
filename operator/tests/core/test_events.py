"""Events tell people of transitions, once, in the words of the condition."""

from collections.abc import Callable

import pytest
from tests.core.scenario import Scenario
from tests.core.troubles import (
    main_crashes,
    main_is_down,
    main_is_refused,
    nothing,
    paused,
    ready,
    the_spec_is_wrong,
)

from homeserver_operator.api.actions import Event


@pytest.mark.parametrize(
    ("arrange", "expected"),
    [
        pytest.param(nothing, [], id="nothing happened"),
        pytest.param(main_is_down, [("Normal", "Progressing")], id="a pod is not ready"),
        pytest.param(main_crashes, [("Normal", "Crashing")], id="a pod crashes"),
        pytest.param(main_is_refused, [("Warning", "ConfigRejected")], id="people are needed"),
        pytest.param(the_spec_is_wrong, [("Warning", "InvalidSpec")], id="the spec is wrong"),
        pytest.param(paused, [("Normal", "Paused")], id="it was paused"),
    ],
)
def test_events_tell_of_transitions_once(
    arrange: Callable[[Scenario], None], expected: list[tuple[str, str]]
) -> None:
    scenario = ready()
    arrange(scenario)
    _decision, told = scenario.step()
    assert [(event.type, event.reason) for event in told.events] == expected
    assert [e.message for e in told.events] == [
        scenario.condition("Ready")["message"] for _ in expected
    ]
    _decision, again = scenario.step()
    assert again.events == ()


def test_coming_back_is_an_event_too() -> None:
    scenario = ready()
    main_is_down(scenario)
    scenario.step()
    scenario.cluster.settle()
    _decision, told = scenario.step()
    assert told.events == (Event("Normal", "Ready", "every process is ready"),)
