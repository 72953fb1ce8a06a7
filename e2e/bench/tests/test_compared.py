"""Failures and latency of each front follow from the recorded requests, and nothing is hidden."""

from __future__ import annotations

from collections import Counter

import pytest

from e2e.bench.compared import Report, Seen, rows, see
from e2e.bench.table import Measurement
from e2e.product.traffic import Outcome
from e2e.product.undergoing import Span

SPAN = Span(since=100.0, until=110.0, seconds=8.0)
QUIET = [Outcome("read", n, 0.1, 200) for n in range(3)] + [Outcome("send", 0, 0.2, 200)]


def _good(began: float, seconds: float = 0.1, kind: str = "read") -> Outcome:
    return Outcome(kind, began, seconds, 200)


def _bad(began: float, kind: str = "read", status: int = 503) -> Outcome:
    return Outcome(kind, began, 0.1, status, "no")


def _see(*outcomes: Outcome) -> Seen:
    return see(outcomes, SPAN, QUIET, ["a", "b"], load=1.5)


@pytest.mark.parametrize(
    ("outcomes", "added"),
    [
        pytest.param([_good(101, 2.1), _good(102)], [0.0, 2.0], id="beyond the usual, in order"),
        pytest.param([_good(101, 0.3, "send")], [0.1], id="beyond the usual of its own kind"),
        pytest.param([_bad(101), _good(104, 0.1)], [0.0, 3.0], id="of a failure until a success"),
        pytest.param([_bad(109), _good(120, 0.1)], [11.0], id="also if that comes afterwards"),
        pytest.param([_good(98), _good(110.5)], [], id="of none before or after"),
        pytest.param([_good(101, 9.0, "sync"), _bad(101, "sliding")], [], id="of no long poll"),
    ],
)
def test_what_is_added(outcomes: list[Outcome], added: list[float]) -> None:
    assert _see(*outcomes).added == pytest.approx(added)


def test_failures_are_counted_by_kind_and_long_polls_count() -> None:
    lost = Outcome("sync", 103, 1.0, 0, "ServerDisconnectedError: Server disconnected")
    seen = _see(_good(101), _bad(102), _bad(103), lost, _bad(111), _good(112))
    assert seen.requests == 4
    assert seen.failures == Counter({"read (503)": 2, "sync (ServerDisconnectedError)": 1})
    assert "FAILED 2 x read (503)" in str(seen)


def _seen(longest: float, failed: int, *acknowledged: str) -> Seen:
    return Seen(
        seconds=20.0 + longest,
        requests=90,
        failures=Counter({"send (502)": failed} if failed else {}),
        added=[*[0.001] * 98, longest, longest],
        acknowledged=acknowledged,
        load=longest,
    )


def _report() -> Report:
    return Report(
        sustained=32.0,
        rate=16.0,
        load=0.5,
        quiet={"ours": [*QUIET, Outcome("sync", 0, 9.0, 200)], "theirs": QUIET},
        seen={"ours, kindly": [_seen(1.0, 0, "a"), _seen(2.0, 3, "b", "c")],
              "theirs, kindly": [_seen(7.0, 1, "d")]},
        kept=["a", "b", "b", "d"],
    )  # fmt: skip


def _row(what: str, report: Report) -> Measurement:
    (found,) = (row for row in rows(report, {"ours, kindly"}) if row.what == what)
    return found


@pytest.mark.parametrize(
    ("what", "values", "aim"),
    [
        pytest.param("sustained by the first front", [32.0], None, id="what is sustained"),
        pytest.param("load, long polls aside", [16.0], None, id="the load"),
        pytest.param(
            "ours, quiet: latency", [100.0, 100.0, 100.0, 200.0], None, id="the quiet phase"
        ),
        pytest.param("ours, kindly: begin to end", [21.0, 22.0], None, id="how long it took"),
        pytest.param("ours, kindly: requests", [90, 90], None, id="how much was asked"),
        pytest.param("ours, kindly: failed", [0, 3], 0.0, id="failures, of which none is promised"),
        pytest.param("  ours, kindly: failed, send (502)", [0, 3], None, id="failures by kind"),
        pytest.param("theirs, kindly: failed", [1], None, id="failures that nobody promised away"),
        pytest.param("ours, kindly: added, p50", [1.0, 1.0], None, id="half of what is added"),
        pytest.param("ours, kindly: added, p99", [1000.0, 2000.0], None, id="most of it"),
        pytest.param("theirs, kindly: added, max", [7000.0], None, id="all of it"),
        pytest.param(
            "ours, kindly: messages lost or doubled", [0, 2], 0.0, id="one doubled, one lost"
        ),
        pytest.param("theirs, kindly: messages lost or doubled", [0], None, id="none lost"),
    ],
)
def test_the_table_has_a_row_for(what: str, values: list[float], aim: float | None) -> None:
    row = _row(what, _report())
    assert list(row.values) == pytest.approx(values)
    assert row.aim == aim


def test_nobody_says_that_nothing_is_lost_who_has_not_looked() -> None:
    report = _report()
    report.kept = None
    assert not [row for row in rows(report, ()) if "lost" in row.what]


def test_each_row_has_the_load_of_its_last_value() -> None:
    loads = {row.what.strip().partition(",")[0]: row.load for row in rows(_report(), ())}
    assert loads == {"sustained by the first front": 0.5, "load": 0.5, "ours": 2.0, "theirs": 7.0}


def test_nothing_measured_is_an_empty_table() -> None:
    assert rows(Report(), ()) == []
