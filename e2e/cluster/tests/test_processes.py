"""Daemons are known by process id and start time, and only they are ended."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from e2e.cluster.processes import Daemons, Process, end
from e2e.cluster.progress import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    found = Daemons(records=tmp_path / "records", logs=tmp_path / "logs")
    yield found
    found.stop(*found.names())


def test_a_daemon_runs_until_it_is_stopped(daemons: Daemons) -> None:
    daemons.start("sleeper", ["sleep", "60"])
    process = daemons.process("sleeper")
    assert process is not None
    daemons.stop("sleeper")
    assert not process.alive()
    assert daemons.names() == []


def test_starting_a_running_daemon_changes_nothing(daemons: Daemons) -> None:
    daemons.start("sleeper", ["sleep", "60"])
    first = daemons.process("sleeper")
    daemons.start("sleeper", ["sleep", "60"])
    assert daemons.process("sleeper") == first


def test_a_daemon_that_passes_over_sigterm_is_killed(daemons: Daemons) -> None:
    daemons.start("stubborn", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"])
    log = daemons.log("stubborn")
    wait_until(lambda: "deaf" in log.read_text(), what="the trap", seconds=10)
    process = daemons.process("stubborn")
    assert process is not None
    daemons.stop("stubborn", seconds=0.2)
    assert not process.alive()


def test_a_process_that_got_the_same_id_later_is_left_alone() -> None:
    myself = Process.of(os.getpid())
    assert myself is not None
    end([replace(myself, start_time=myself.start_time - 1)])
    assert myself.alive()
