"""Turns pytest's JUnit XML into a dated page under docs/measurements/.

Says what was run, where, and what came of each test; judges nothing and leaves nothing out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

from e2e.bench.machine import REPOSITORY, load, machine, revision

MEASUREMENTS = REPOSITORY / "docs" / "measurements"
LONGEST_REASON = 400
OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


@dataclass(frozen=True)
class Test:
    """One test as pytest tells it."""

    name: str
    outcome: str
    seconds: float
    reason: str


def write_report(
    name: str, junits: Sequence[Path], notes: Sequence[str], *, directory: Path = MEASUREMENTS
) -> Path:
    """Write `<date>-<name>.md` from the JUnit XML of runs of pytest and return its path.

    An earlier report of the same day and name is kept; the new one gets a number.
    Raises FileNotFoundError or ElementTree.ParseError if results are missing or broken.
    """
    tests = [test for junit in junits for test in _tests(junit)]
    directory.mkdir(parents=True, exist_ok=True)
    today = datetime.now(UTC).date()
    target = _free(directory, f"{today}-{name}")
    target.write_text(_page(name, today, tests, notes))
    return target


def _tests(junit: Path) -> Iterator[Test]:
    # Written by pytest a moment ago: no enemy's XML.
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314
        found = next((child for child in case if child.tag in OUTCOMES), None)
        yield Test(
            name=f"{case.get('classname', '')}::{case.get('name', '')}",
            outcome="passed" if found is None else OUTCOMES[found.tag],
            seconds=float(case.get("time", 0)),
            reason="" if found is None else found.get("message", ""),
        )


def _free(directory: Path, stem: str) -> Path:
    target, number = directory / f"{stem}.md", 2
    while target.exists():
        target, number = directory / f"{stem}-{number}.md", number + 1
    return target


def _page(name: str, today: date, tests: Sequence[Test], notes: Sequence[str]) -> str:
    counts = Counter(test.outcome for test in tests)
    total = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    seconds = sum(test.seconds for test in tests)
    lines = [
        f"# {name}, {today}",
        "",
        f"- machine: {machine()}",
        f"- load average at the end: {load():.1f}",
        f"- sources: {revision()}",
        *(f"- {note}" for note in notes),
        f"- outcome: {total or 'no test ran'}, in {seconds:.0f} s of tests",
        "",
        "| test | outcome | seconds |",
        "| --- | --- | ---: |",
        *(f"| {_cell(test.name)} | {test.outcome} | {test.seconds:.1f} |" for test in tests),
    ]
    told = [test for test in tests if test.reason]
    if told:
        lines += ["", "## Not passed", ""]
        lines += [f"- {_cell(test.name)}: {_cell(test.reason[:LONGEST_REASON])}" for test in told]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that cannot break out of a table's cell or a list's item."""
    return " ".join(text.split()).replace("|", "\\|")
