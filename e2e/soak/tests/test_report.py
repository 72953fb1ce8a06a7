"""A report tells all that pytest told."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from e2e.soak.report import write_report

JUNIT = """\
<testsuites><testsuite name="pytest">
<testcase classname="e2e.tests.test_quiet" name="test_no_write" time="300.04"/>
<testcase classname="kill" name="test_death[create]" time="2.5">
<failure message="AssertionError: a | b&#10;second line">trace</failure></testcase>
<testcase classname="kill" name="test_death[edit]" time="0.0">
<skipped message="no audit log"/></testcase>
<testcase classname="kill" name="test_death[drop]" time="0.1"><error message="fixture"/></testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    file = tmp_path / "junit.xml"
    file.write_text(JUNIT)
    return file


def test_every_test_is_listed_with_its_outcome_and_reason(tmp_path: Path, junit: Path) -> None:
    text = write_report("soak", [junit], ["3 rounds"], directory=tmp_path).read_text()

    assert "- 3 rounds\n" in text
    assert "- outcome: 1 error, 1 failed, 1 passed, 1 skipped, in 303 s of tests\n" in text
    assert "| e2e.tests.test_quiet::test_no_write | passed | 300.0 |\n" in text
    assert "| kill::test_death[create] | failed | 2.5 |\n" in text
    assert "- kill::test_death[create]: AssertionError: a \\| b second line\n" in text
    assert "- kill::test_death[edit]: no audit log\n" in text
    assert "| kill::test_death[drop] | error | 0.1 |\n" in text


def test_an_earlier_report_of_the_day_is_kept(tmp_path: Path, junit: Path) -> None:
    first = write_report("soak", [junit], [], directory=tmp_path)
    second = write_report("soak", [junit], [], directory=tmp_path)

    assert first.stem == second.stem.removesuffix("-2") != second.stem


def test_without_results_there_is_no_report(tmp_path: Path) -> None:
    empty = tmp_path / "junit.xml"
    empty.touch()

    with pytest.raises(ElementTree.ParseError):
        write_report("soak", [empty], [], directory=tmp_path / "reports")
    assert not (tmp_path / "reports").exists()
