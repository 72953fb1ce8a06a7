"""What clients noticed follows from the recorded requests, and nothing is hidden on the way."""

from __future__ import annotations

from collections import Counter

import pytest

from e2e.bench.noticed import (
    CLASSES,
    GROUP,
    ONE,
    POLLS,
    Noticed,
    Report,
    Seen,
    failure,
    notice,
    rows,
)
from e2e.bench.table import Measurement
from e2e.product.mix import KINDS
from e2e.product.traffic import Outcome
from e2e.product.undergoing import Span

SPAN = Span(since=100.0, until=110.0, seconds=8.0)
USUAL = {"send": 0.2, "read": 0.1, "typing": 0.1, "rules": 0.1, "sync": 3.0}
BAD_GATEWAY = "502 by the ingress controller"


def _good(began: float, seconds: float = 0.1, kind: str = "read") -> Outcome:
    return Outcome(kind, began, seconds, 200)


def _bad(began: float, seconds: float = 0.1, kind: str = "read") -> Outcome:
    return Outcome(kind, began, seconds, 502, "Bad Gateway")


def _noticed(*outcomes: Outcome, of: str = GROUP) -> Noticed:
    return notice(outcomes, SPAN, USUAL)[of]


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        pytest.param(_bad(0), BAD_GATEWAY, id="words that are not Matrix' are the controller's"),
        pytest.param(
            Outcome("send", 0, 1, 500, "{'errcode': 'M_UNKNOWN', 'error': 'Internal'}"),
            "500 by Synapse",
            id="an error of Matrix is Synapse's",
        ),
        pytest.param(
            Outcome("send", 0, 1, 0, "ServerDisconnectedError: Server disconnected"),
            "no answer from the ingress controller (ServerDisconnectedError)",
            id="a connection that ends is named by how",
        ),
    ],
)
def test_a_failure_is_named_by_whose_it_is(outcome: Outcome, name: str) -> None:
    assert failure(outcome) == name


@pytest.mark.parametrize(
    ("outcomes", "longest"),
    [
        pytest.param([_good(101), _good(102, 2.1)], 2.0, id="beyond the kind's own median"),
        pytest.param([_good(101, 2.0), _good(101, 2.05, "send")], 1.9, id="the longest of kinds"),
        pytest.param([_good(99, 3.1)], 3.0, id="of a request that was under way when it began"),
        pytest.param([_good(109, 30.1)], 30.0, id="to the end of a request that outlives it"),
        pytest.param([_good(98), _good(110.5, 60), _good(101)], 0.0, id="of none before or after"),
        pytest.param(
            [_bad(101), _bad(105), _good(112, 0.1)],
            11.0,
            id="until the next success, where a request failed at once",
        ),
        pytest.param(
            [_bad(101), _good(100.5, 0.1), _good(103, 2.1), _good(104, 0.1)],
            3.0,
            id="until the first end of all successes that began later",
        ),
        pytest.param(
            [_bad(101), _good(102, 0.1, "send"), _good(109, 0.1)],
            8.0,
            id="until a success of the same kind",
        ),
        pytest.param([_bad(101), _bad(120)], 19.0, id="until the record's end without a success"),
    ],
)
def test_what_is_added_at_most(outcomes: list[Outcome], longest: float) -> None:
    assert _noticed(*outcomes).longest == pytest.approx(longest)


def test_failures_are_counted_by_kind_and_placed_in_time() -> None:
    reset = Outcome("send", 103, 1.0, 0, "ClientOSError: reset")
    found = _noticed(_good(101), _bad(102), _bad(104, kind="send"), reset, _bad(111), _good(112))
    assert found.requests == 4
    assert found.failures == Counter(
        {BAD_GATEWAY: 2, "no answer from the ingress controller (ClientOSError)": 1}
    )
    assert [found.failed_from, found.failed_until] == pytest.approx([2.1, 4.1])
    assert f"2 x {BAD_GATEWAY}" in str(found)


def test_route_classes_are_told_apart() -> None:
    outcomes = [_bad(101, kind="typing"), _good(103, kind="typing"), _good(102), _bad(104)]
    assert _noticed(*outcomes, of=ONE).failures.total() == 1
    assert _noticed(*outcomes, of=ONE).longest == pytest.approx(2.0)
    assert _noticed(*outcomes, of=GROUP).failures.total() == 1


def test_long_polls_can_fail_but_have_no_latency() -> None:
    found = _noticed(_good(101, 9.0, "sync"), _bad(105, kind="sync"), of=POLLS)
    assert (found.requests, found.failures.total(), found.longest) == (2, 1, None)


def _seen(longest: float, failed: int = 0) -> Seen:
    failures = Counter({BAD_GATEWAY: failed} if failed else {})
    return Seen(
        20.0 + longest,
        {
            ONE: Noticed(90, failures, longest),
            GROUP: Noticed(90, Counter(), longest / 2),
            POLLS: Noticed(9, Counter(), None),
        },
        load=longest,
    )


def _report() -> Report:
    # Each kind has a median of its own.
    quiet = [_good(n, USUAL[kind] * n / 2, kind) for kind in CLASSES for n in range(1, 4)]
    seen = {"ours": [_seen(1.0), _seen(2.0, 3), _seen(1.5)], "theirs": [_seen(20.0), _seen(8.0)]}
    return Report(sustained=32.0, rate=16.0, load=0.5, quiet=quiet, seen=seen)


def _row(what: str) -> Measurement:
    found = rows(_report(), {"ours": 3.0}, beside=("ours", "theirs"))
    return next(row for row in found if row.what == what)


@pytest.mark.parametrize(
    ("what", "values", "aim"),
    [
        pytest.param("sustained by 8 processes", [32.0], None, id="what the machine sustains"),
        pytest.param("load, syncs aside", [16.0], None, id="the load"),
        pytest.param("ours: begin to end", [21.0, 22.0, 21.5], None, id="how long it took"),
        pytest.param(f"ours, {ONE}: failed", [0, 3, 0], 0.0, id="failures, of which none is aimed"),
        pytest.param(f"  ours, {ONE}: {BAD_GATEWAY}", [0, 3, 0], None, id="failures by their name"),
        pytest.param(f"ours, {GROUP}: longest added", [0.5, 1.0, 0.75], 3.0, id="what is added"),
        pytest.param(f"theirs, {ONE}: longest added", [20.0, 8.0], None, id="a way without an aim"),
        pytest.param(f"theirs, {POLLS}: requests", [9, 9], None, id="long polls"),
        pytest.param(
            "longest added: ours, of that of theirs", [5.0, 25.0], 20.0, id="each round's share"
        ),
    ],
)
def test_the_table_has_a_row_for(what: str, values: list[float], aim: float | None) -> None:
    row = _row(what)
    assert list(row.values) == pytest.approx(values)
    assert row.aim == aim


def test_each_row_has_the_load_of_its_last_value() -> None:
    found = rows(_report(), {}, beside=("ours", "theirs"))
    assert {row.load for row in found if "ours" in row.what} == {1.5}
    assert {row.load for row in found if row.what.strip().startswith("theirs")} == {8.0}
    assert {row.load for row in found if "ours" not in row.what and "theirs" not in row.what} == {
        0.5
    }


def test_usual_is_the_quiet_phases_median_by_kind() -> None:
    assert _report().usual == pytest.approx(USUAL)


def test_nothing_measured_is_an_empty_table() -> None:
    assert rows(Report(), {}, beside=("ours", "theirs")) == []


def test_every_kind_of_request_has_a_class() -> None:
    assert CLASSES.keys() == {*KINDS, "sync"}
