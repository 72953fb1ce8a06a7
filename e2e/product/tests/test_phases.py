"""What is told of a phase is what its requests show."""

from __future__ import annotations

import pytest

from e2e.product.phases import Phase, quantile, wrongly_kept
from e2e.product.traffic import Outcome

USUAL = {"send": 0.5, "read": 0.25}


def _phase(*outcomes: Outcome) -> Phase:
    return Phase("a restart", 10.0, outcomes)


def test_what_is_added_counts_from_the_usual_of_the_kind_and_leaves_long_polls_out() -> None:
    phase = _phase(
        Outcome("send", 0, 2.5, 200), Outcome("read", 0, 0.25, 200), Outcome("sync", 0, 9, 200)
    )
    assert phase.added(USUAL) == [0.0, 2.0]
    assert phase.told(USUAL) == (
        "a restart: 10 s, 3 requests, p50 +0.00 s, p95 +2.00 s, p99 +2.00 s, max +2.00 s"
    )


def test_failures_are_counted_by_kind_and_how_and_long_polls_count() -> None:
    phase = _phase(
        Outcome("send", 0, 1, 502, "Bad Gateway"),
        Outcome("sync", 0, 1, 0, "ServerDisconnectedError: Server disconnected"),
        Outcome("sync", 0, 1, 0, "ServerDisconnectedError: Server disconnected"),
    )
    assert len(phase.failed) == 3
    assert phase.told({}).endswith(
        "FAILED 1 x send (502), FAILED 2 x sync (ServerDisconnectedError)"
    )


def test_of_nothing_nothing_is_told() -> None:
    assert _phase().told(USUAL) == "a restart: 10 s, 0 requests"


@pytest.mark.parametrize(
    ("percent", "value"),
    [
        pytest.param(50, 50, id="half of them"),
        pytest.param(99, 99, id="all but one"),
        pytest.param(100, 100, id="all"),
    ],
)
def test_so_many_percent_do_not_exceed_the_quantile(percent: int, value: int) -> None:
    assert quantile(range(1, 101), percent) == value


@pytest.mark.parametrize(
    ("texts", "wrongs"),
    [
        pytest.param(["a", "b"], [], id="each once"),
        pytest.param(["b", "c", "a"], [], id="what nobody has acknowledged may be there"),
        pytest.param(["a"], ["b: 0 times"], id="one is lost"),
        pytest.param(["a", "b", "b"], ["b: 2 times"], id="one is doubled"),
    ],
)
def test_what_was_acknowledged_is_there_once(texts: list[str], wrongs: list[str]) -> None:
    assert wrongly_kept(["a", "b"], texts) == wrongs
