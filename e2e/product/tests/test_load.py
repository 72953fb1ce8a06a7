"""What a machine sustains, and whether all is calm, follows from the recorded requests."""

from __future__ import annotations

import pytest

from e2e.product.load import RATES, calm, sustained, usual
from e2e.product.traffic import Outcome

USUAL = {"send": 0.2, "read": 0.1, "typing": 0.1, "rules": 0.1, "sync": 3.0}


def _good(began: float, seconds: float = 0.1, kind: str = "read") -> Outcome:
    return Outcome(kind, began, seconds, 200)


def _bad(began: float) -> Outcome:
    return Outcome("read", began, 0.1, 502, "Bad Gateway")


@pytest.mark.parametrize(
    ("outcomes", "holds"),
    [
        pytest.param([_good(n) for n in range(40)], True, id="all soon"),
        pytest.param([_good(n) for n in range(38)], True, id="nearly all"),
        pytest.param([_good(n) for n in range(37)], False, id="some have no answer yet"),
        pytest.param([_good(n, n % 9 / 4) for n in range(40)], False, id="many late"),
        pytest.param([*(_good(n) for n in range(40)), _bad(1)], False, id="one failed"),
        pytest.param([_good(n, kind="sync") for n in range(40)], False, id="syncs do not count"),
        pytest.param([_good(n, kind="sliding") for n in range(40)], False, id="nor new ones"),
    ],
)
def test_a_rate_is_sustained_or_not(outcomes: list[Outcome], *, holds: bool) -> None:
    assert sustained(outcomes, rate=4.0, seconds=10.0) is holds


@pytest.mark.parametrize(
    ("outcomes", "usual", "holds"),
    [
        pytest.param([_good(1, 0.4)], {}, True, id="quick, and nothing known"),
        pytest.param([_good(1, 0.6)], {}, False, id="slow, and nothing known"),
        pytest.param([_good(1, 0.6)], {"read": 0.4}, True, id="as slow as usual"),
        pytest.param([_good(1), _good(1, 2, "send")], USUAL, False, id="one kind is slow"),
        pytest.param([_good(1), _bad(2)], USUAL, False, id="a failure"),
        pytest.param([_good(1), _good(1, 9, "sync")], USUAL, True, id="a long poll is long"),
        pytest.param([], USUAL, False, id="nobody had an answer"),
    ],
)
def test_it_is_calm_or_not(
    outcomes: list[Outcome], usual: dict[str, float], *, holds: bool
) -> None:
    assert calm(outcomes, usual) is holds


def test_what_is_usual_is_the_median_of_each_kind() -> None:
    assert usual([_good(1, 1), _good(2, 9), _good(3, 2), _good(1, 5, "send")]) == {
        "read": 2,
        "send": 5,
    }


def test_rates_are_tried_from_the_lowest_on() -> None:
    assert list(RATES) == sorted(set(RATES))
