"""The protocol explored in full: no two epochs, never backwards, never stuck; no rule too many."""

from __future__ import annotations

import pytest
from tests.fence_model import Exploration, Machine, Rules, Spec, explore

pytestmark = pytest.mark.long

SWITCH = (Spec("a", 1, 2), Spec("b", 1), Spec("a", 2, 2))
"""Two processes of an epoch, one of which restarts, and the one that replaces it in the next."""

TWINS = (Spec("a", 1, 2), Spec("a", 1), Spec("b", 2))
"""Two pods of one process, and somebody of the next epoch."""

THREE_EPOCHS = (Spec("a", 1), Spec("a", 2), Spec("a", 3))
"""A switch that was given up for another."""

TWO_LIVES = (Spec("a", 1, 2), Spec("b", 1, content="'"), Spec("b", 2, content="'"))
"""A homeserver that was made anew on its database, and goes on at the next epoch."""

FAULTS = 2


def explored(specs: tuple[Spec, ...], rules: Rules) -> Exploration:
    return explore(Machine(specs, rules, faults=FAULTS))


@pytest.mark.parametrize(
    "specs",
    [
        pytest.param(SWITCH, id="a switch with a restart in it"),
        pytest.param(TWINS, id="two pods of one process"),
        pytest.param(THREE_EPOCHS, id="a switch given up for another"),
        pytest.param(TWO_LIVES, id="an epoch that an earlier life of the homeserver had"),
    ],
)
def test_in_every_order_and_with_any_two_faults(specs: tuple[Spec, ...]) -> None:
    found = explored(specs, Rules())
    assert len(found.steps) > 1000
    assert found.two_epochs() is None
    assert found.backwards() is None
    assert found.misled() is None
    assert found.stuck() is None


@pytest.mark.parametrize(
    ("rules", "specs"),
    [
        pytest.param(Rules(connections_hold=False), SWITCH, id="a lock on the lock session alone"),
        pytest.param(
            Rules(admission_is_atomic=False), SWITCH, id="a look before the locks, without the gate"
        ),
        pytest.param(Rules(names_are_exclusive=False), TWINS, id="names that two may have"),
        pytest.param(
            Rules(contents_are_recorded=False), TWO_LIVES, id="epochs that tell no two lives apart"
        ),
    ],
)
def test_two_would_write_with(rules: Rules, specs: tuple[Spec, ...]) -> None:
    assert explored(specs, rules).two_epochs()


def test_an_older_epoch_would_come_back_if_nobody_remembered_the_latest() -> None:
    forgetful = explored(SWITCH, Rules(epochs_are_recorded=False))
    assert forgetful.backwards()
    assert forgetful.misled()


def test_a_switch_would_never_end_if_waiters_were_not_woken() -> None:
    assert explored(SWITCH, Rules(waiters_wake=False)).stuck()
