"""Fences without Synapse, held by a test itself."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg2
from tests.services import LOOPBACK, wait_until

from homeserver_runtime.fence.claim import HOLDER, Claim
from homeserver_runtime.fence.fence import Fence, SupersededError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.services import Postgres

    from homeserver_runtime.fence.reserve import Reserve

RETAKE_SECONDS = 8
YIELD_SECONDS = 6
CONNECT_SECONDS = 4
"""In the proportions of a real process, and shorter."""

LOCK_SESSIONS = f"pid IN (SELECT pid FROM pg_locks WHERE classid = {HOLDER})"  # noqa: S608
"""A condition on pg_stat_activity."""


class Held:
    """A fence with what it said."""

    def __init__(
        self,
        postgres: Postgres,
        database: str,
        name: str,
        *,
        duties: Sequence[str] = (),
        address: str = "",
        database_was_away: bool = False,
        reserve: Reserve | None = None,
        **epochs: int,
    ) -> None:
        self.waited_for: list[str | None] = []
        self.ends: list[str] = []
        self._arguments = {
            "host": LOOPBACK, "port": postgres.port, "user": "postgres",
            "password": postgres.password, "dbname": database,
            "application_name": f"{name} {epochs}",
        }  # fmt: skip
        self.fence = Fence(
            Claim(
                name=name,
                epochs=epochs,
                cohort="topology",
                duties=tuple(duties),
                address=address,
            ),
            self._attempt,
            waits_for=self.waited_for.append,
            ends=self.ends.append,
            retake_seconds=RETAKE_SECONDS,
            yield_seconds=YIELD_SECONDS,
            first_yield_seconds=YIELD_SECONDS if database_was_away else 0.0,
            reserve=reserve,
        )
        self.server_is_there = threading.Event()
        self.server_is_there.set()
        self._connects = threading.Event()
        self._may_connect = threading.Event()
        self._may_connect.set()
        self._thread = threading.Thread(target=self._enter, daemon=True)
        self.refused: SupersededError | None = None
        self.entered = False

    def _enter(self) -> None:
        try:
            self.fence.enter()
        except SupersededError as error:
            self.refused = error
        else:
            self.entered = True

    def _attempt(self) -> Any:
        """An attempt to connect; begun while the server is not there, it takes all of its time."""
        if not self.server_is_there.is_set():
            time.sleep(CONNECT_SECONDS)
            raise psycopg2.OperationalError("timeout expired")
        self._connects.set()
        self._may_connect.wait()
        return psycopg2.connect(**self._arguments)

    @contextlib.contextmanager
    def connecting_waits(self) -> Iterator[threading.Event]:
        """An attempt to connect succeeds no sooner than the block ends; it sets the event."""
        self._connects.clear()
        self._may_connect.clear()
        try:
            yield self._connects
        finally:
            self._may_connect.set()

    def start(self) -> Held:
        self._thread.start()
        return self

    def enter(self) -> Held:
        self.start()
        wait_until(lambda: self.entered, what="entry", seconds=20)
        return self

    def wait_refused(self) -> SupersededError:
        wait_until(lambda: self.refused, what="refusal", seconds=20)
        assert self.refused is not None
        return self.refused

    def wait_waiting(self) -> str:
        wait_until(lambda: self.waited_for and self.waited_for[-1], what="waiting", seconds=20)
        return str(self.waited_for[-1])

    def connect(self) -> Any:
        return psycopg2.connect(**self._arguments, connection_factory=self.fence.open)


def terminate(
    postgres: Postgres, database: str, condition: str, *, wait_milliseconds: int = 0
) -> None:
    """End the sessions of a database for which an SQL condition holds.

    All at once, as when the server goes, or with `wait_milliseconds` each before the next.
    """
    postgres.execute(
        f"SELECT pg_terminate_backend(pid, {wait_milliseconds}) FROM pg_stat_activity "  # noqa: S608
        f"WHERE datname = '{database}' AND {condition}"
    )
