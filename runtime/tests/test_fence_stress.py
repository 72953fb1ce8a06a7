"""Processes that are killed, stopped and cut off at random, and the rows that they wrote."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.processes import RUNTIME
from tests.services import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services import Postgres

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]

NAMES = ("a", "b", "c")
DATABASE = "fence_stress"


class Crowd:
    """Processes of several names and epochs, and what befalls them."""

    def __init__(self, postgres: Postgres, seed: int) -> None:
        self._postgres = postgres
        self._random = random.Random(seed)  # noqa: S311 - a story that can be told again
        self._processes: list[subprocess.Popen[bytes]] = []
        self._epochs: dict[subprocess.Popen[bytes], int] = {}
        self.epoch = 1

    def start(self, name: str, epoch: int) -> None:
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.fence_worker", str(self._postgres.port), DATABASE,
                 name, str(epoch)],
                cwd=RUNTIME, stderr=subprocess.DEVNULL,
                env=os.environ | {"PGPASSWORD": self._postgres.password},
            )
        )  # fmt: skip
        self._epochs[self._processes[-1]] = epoch

    def misfortune(self) -> None:
        """One of all that can happen."""
        happening = self._random.choice(
            [
                self._kill,
                self._stop,
                self._go_on,
                self._terminate,
                self._restart,
                self.next_epoch,
                self.let_go,
                self._past,
                self._go_on,
                self._switch,
            ]
        )
        happening()

    def calm(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _any(self) -> subprocess.Popen[bytes] | None:
        alive = [process for process in self._processes if process.poll() is None]
        return self._random.choice(alive) if alive else None

    def _signal(self, number: int) -> None:
        if process := self._any():
            process.send_signal(number)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _past(self) -> None:
        """Everybody dies, and one of an earlier epoch comes back first."""
        for process in self._processes:
            process.kill()
        self.start(self._random.choice(NAMES), max(self.epoch - 1, 1))

    def _stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def _go_on(self) -> None:
        self.calm()

    def _terminate(self) -> None:
        self._postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}' "  # noqa: S608
            "AND random() < 0.3"
        )

    def _restart(self) -> None:
        epoch = self._random.choice([self.epoch, max(self.epoch - 1, 1)])
        self.start(self._random.choice(NAMES), epoch)

    def let_go(self) -> None:
        """End all processes but those of the latest epoch, as an operator does in a switch."""
        for process, epoch in self._epochs.items():
            if epoch < self.epoch:
                process.terminate()

    def _switch(self) -> None:
        """The next epoch waits already when the earlier ones are killed with their queries."""
        self.next_epoch()
        time.sleep(1)
        for process, epoch in self._epochs.items():
            if epoch < self.epoch:
                process.kill()
        time.sleep(1)

    def next_epoch(self) -> None:
        self.epoch += 1
        for name in NAMES:
            self.start(name, self.epoch)


@pytest.fixture
def crowd(own_postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    own_postgres.create_database(DATABASE)
    with contextlib.closing(own_postgres.connect(DATABASE)) as connection:
        connection.cursor().execute(
            "CREATE TABLE written (id bigserial, epoch int NOT NULL, name text NOT NULL)"
        )
    made = Crowd(own_postgres, request.param)
    yield made
    made.end()
    own_postgres.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def rows(postgres: Postgres) -> list[int]:
    with contextlib.closing(postgres.connect(DATABASE)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT epoch FROM written ORDER BY id")
        return [epoch for (epoch,) in cursor.fetchall()]


@pytest.mark.parametrize("crowd", [20260101], indirect=True, ids=["for some seconds"])
def test_epochs_follow_each_other_without_a_break(own_postgres: Postgres, crowd: Crowd) -> None:
    for name in NAMES:
        crowd.start(name, crowd.epoch)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        crowd.misfortune()
        time.sleep(0.2)
    crowd.calm()
    # Of the last one all may have been killed.
    crowd.next_epoch()
    crowd.let_go()
    wait_until(
        lambda: crowd.epoch in rows(own_postgres), what="the last epoch to write", seconds=90
    )
    written = rows(own_postgres)
    assert len(set(written)) > 3
    assert written == sorted(written)
