from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from homeserver_runtime import failure
from homeserver_runtime.contract import ConfigurationRefusedError

if TYPE_CHECKING:
    from pathlib import Path


def nested() -> ValueError:
    error = ValueError("outer")
    error.__cause__ = OSError("inner")
    return error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        pytest.param(ConfigurationRefusedError("bad key"), 78, "bad key", id="a refusal is 78"),
        pytest.param(failure.StartupFailedError("no db"), 1, "no db", id="a failure is 1"),
        pytest.param(KeyError("x"), 1, "KeyError: 'x'", id="the unexpected is named by its type"),
        pytest.param(
            nested(),
            1,
            "ValueError: outer\n  because of OSError: inner",
            id="causes are told, without the way to them",
        ),
    ],
)
def test_describe(error: Exception, code: int, message: str) -> None:
    assert failure.describe(error) == (code, message)


def test_a_long_message_keeps_its_end_and_whole_characters(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    failure.report("ä" * 5000 + "the end", path)
    data = path.read_bytes()
    assert len(data) <= 4096
    assert data.decode().endswith("äthe end\n")
    assert set(data.decode().removesuffix("the end\n")) == {"ä"}


def test_a_missing_termination_log_is_no_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    failure.report("said anyway", tmp_path / "none" / "termination-log")


def test_a_planned_end_leaves_words_and_the_state(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.touch()
    failure.farewell("drained", {"phase": "draining"}, path)
    assert path.read_text() == 'drained\n{"phase": "draining"}\n'


def test_a_planned_end_does_not_replace_a_message_for_people(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    failure.report("superseded", path)
    failure.farewell("drained", {"phase": "draining"}, path)
    assert path.read_text() == "superseded\n"
