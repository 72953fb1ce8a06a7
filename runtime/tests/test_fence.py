"""Fences on a real PostgreSQL: entry, waiting, loss, and what of a process reaches the database."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from tests.held import LOCK_SESSIONS, YIELD_SECONDS, Held, terminate
from tests.services import Postgres, pgbouncer, wait_until

from homeserver_runtime.fence.fence import FenceLostError
from homeserver_runtime.fence.session import PooledError, refuse_pooler

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]


def test_processes_of_one_epoch_run_side_by_side(claim: Callable[..., Held]) -> None:
    first, second = claim("a", topology=1).enter(), claim("b", topology=1, push=4).enter()
    assert first.fence.held
    assert second.fence.held


def test_who_is_late_waits_for_the_last_of_the_earlier_epoch(claim: Callable[..., Held]) -> None:
    old = [claim(name, topology=1).enter() for name in ("a", "b")]
    new = claim("c", topology=2).start()
    assert "topology" in new.wait_waiting()
    old[0].fence.leave()
    assert not new.entered
    old[1].fence.leave()
    wait_until(lambda: new.entered, what="entry after the last has left", seconds=20)


def test_a_connection_that_outlives_its_lock_session_keeps_the_next_epoch_out(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    old = claim("a", topology=1).enter()
    connection = old.connect()
    new = claim("b", topology=2).start()
    new.wait_waiting()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    # As a dead node looks to the server: the lock session was reaped, the other one not yet.
    old.fence._lose = lambda: None  # type: ignore[method-assign] # its client is gone
    old.fence._leaving = True
    terminate(own_postgres, database, f"application_name LIKE 'a %' AND pid <> {backend}")
    assert new.waited_for[-1]
    assert not new.entered
    terminate(own_postgres, database, f"pid = {backend}")
    wait_until(lambda: new.entered, what="entry after the last connection", seconds=20)


def test_a_later_epoch_is_remembered_when_all_of_it_have_gone(claim: Callable[..., Held]) -> None:
    claim("a", topology=7).enter().fence.leave()
    refusal = claim("a", topology=6).start().wait_refused()
    assert (refusal.fence, refusal.epoch) == ("topology", 7)
    claim("a", topology=7).enter()


def test_a_later_epoch_of_one_fence_does_not_concern_the_holders_of_others(
    claim: Callable[..., Held],
) -> None:
    claim("sender", topology=1, federation=2).enter()
    claim("reader", topology=1).enter()
    claim("main", topology=1, federation=1).start().wait_refused()


def test_the_second_of_a_name_waits_for_the_first(claim: Callable[..., Held]) -> None:
    first, second = claim("a", topology=1).enter(), claim("a", topology=1).start()
    second.wait_waiting()
    first.fence.leave()
    wait_until(lambda: second.entered, what="entry after its namesake", seconds=20)


def test_waiting_does_not_keep_the_earlier_epoch_from_restarting(
    claim: Callable[..., Held],
) -> None:
    stays, goes = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    claim("c", topology=2).start().wait_waiting()
    goes.fence.leave()
    claim("b", topology=1).enter()
    assert stays.fence.held


def test_a_lost_lock_session_cuts_the_connections_and_is_taken_again(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    held = claim("a", topology=1).enter()
    connection = held.connect()
    terminate(own_postgres, database, LOCK_SESSIONS)

    def cut() -> bool:
        try:
            connection.cursor().execute("SELECT 1")
        except psycopg2.Error:
            return True
        return False

    wait_until(cut, what="the connection to be cut", seconds=20)
    wait_until(lambda: held.fence.held, what="the fence to be taken again", seconds=20)
    held.connect().cursor().execute("SELECT 1")
    assert held.ends == []


def test_a_connection_that_the_server_has_ended_is_known_to_be_closed(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    """Synapse asks before it uses one, and makes another."""
    connection = claim("a", topology=1).enter().connect()
    assert not connection.closed
    terminate(own_postgres, database, f"pid = {connection.info.backend_pid}")
    wait_until(lambda: connection.closed, what="the end to be known", seconds=20)
    connection.close()
    assert connection.closed


def test_who_is_superseded_while_it_was_lost_must_end(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    old = claim("a", topology=1).enter()
    new = claim("b", topology=2).start()
    new.wait_waiting()
    terminate(own_postgres, database, "application_name LIKE 'a %'")
    wait_until(lambda: new.entered or old.fence.held, what="one of both", seconds=20)
    if new.entered:
        wait_until(lambda: old.ends, what="the end of the old", seconds=20)
        with pytest.raises(FenceLostError):
            old.connect()


def test_where_the_database_restarts_who_holds_goes_before_who_waits(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    """It is no reason for a switch to begin that nobody has begun."""
    old = claim("a", topology=1).enter()
    waiters = [claim(f"b-{number}", topology=2).start() for number in range(4)]
    for _ in range(3):
        for each in waiters:
            each.wait_waiting()
        # Those who wait are told first.
        terminate(own_postgres, database, "application_name LIKE 'b-%'")
        terminate(own_postgres, database, "application_name LIKE 'a %'")
        wait_until(lambda: not old.fence.held, what="the loss", seconds=20)
        wait_until(lambda: old.fence.held, what="the fence to be taken again", seconds=20)
    assert not [each for each in waiters if each.entered]
    old.fence.leave()
    wait_until(lambda: all(each.entered for each in waiters), what="entry", seconds=20)


@pytest.mark.parametrize("waited", [True, False], ids=["who waits", "who has just started"])
def test_who_still_tries_to_connect_goes_before(
    claim: Callable[..., Held], own_postgres: Postgres, database: str, *, waited: bool
) -> None:
    """An attempt that began while the database was away ends long after it is back."""
    old = claim("a", topology=1).enter()
    new = claim("b", topology=2, database_was_away=not waited)
    if waited:
        new.start().wait_waiting()
    old.server_is_there.clear()
    terminate(own_postgres, database, "application_name <> ''")
    wait_until(lambda: not old.fence.held, what="the loss", seconds=20)
    time.sleep(0.5)
    old.server_is_there.set()
    if not waited:
        new.start()
    wait_until(lambda: old.fence.held or new.entered, what="one of both", seconds=20)
    assert not new.entered
    wait_until(lambda: "topology" in (new.waited_for[-1] or ""), what="a look", seconds=20)
    old.fence.leave()
    # Whom it let go first has been back.
    wait_until(lambda: new.entered, what="entry", seconds=1)


def test_where_nobody_comes_back_who_lets_others_go_first_enters(
    claim: Callable[..., Held],
) -> None:
    claim("a", topology=1).enter().fence.leave()
    new = claim("a", topology=2, database_was_away=True).start()
    assert new.wait_waiting() == "those who ran before the database was away"
    wait_until(lambda: new.entered, what="entry", seconds=YIELD_SECONDS + 2)


def test_a_start_that_begins_no_switch_lets_nobody_go_first(claim: Callable[..., Held]) -> None:
    """A homeserver is often started together with its database."""
    for name in ("a", "b"):
        new = claim(name, topology=1, database_was_away=True).start()
        wait_until(lambda new=new: new.entered, what="entry", seconds=2)  # type: ignore[misc]


def test_who_connects_again_while_it_leaves_only_ends(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    """A process that has drained must not be told that somebody else came."""
    old, new = claim("a", topology=1).enter(), claim("b", topology=2)
    with old.connecting_waits() as connects:
        terminate(own_postgres, database, LOCK_SESSIONS)
        assert connects.wait(20)
        new.enter()
        leaving = threading.Thread(target=old.fence.leave)
        leaving.start()
        wait_until(lambda: old.fence._leaving, what="it to leave")
    leaving.join()
    assert old.ends == []
    assert not old.fence.held


def test_who_finds_a_namesake_in_its_place_ends_within_the_bound(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    old = claim("a", topology=1).enter()
    lost = threading.Event()
    connect, old.fence._connect = old.fence._connect, lambda: lost.wait() and connect()
    terminate(own_postgres, database, "application_name LIKE 'a %'")
    wait_until(lambda: not old.fence.held, what="the loss", seconds=20)
    claim("a", topology=1).enter()
    lost.set()
    old.wait_waiting()
    wait_until(lambda: old.ends, what="the end of the old", seconds=20)


def test_a_process_ends_whose_fences_nobody_watches_any_more(claim: Callable[..., Held]) -> None:
    held = claim("a", topology=1).enter()

    def fail(_session: object) -> None:
        raise RuntimeError("a defect")

    held.fence.peers.exchange = fail  # type: ignore[method-assign, assignment]
    held.fence._waker.wake()
    wait_until(lambda: held.ends, what="the end", seconds=20)
    assert "a defect" in held.ends[0]
    assert not held.fence.held


@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
def test_a_pooler_is_refused_where_it_shares_backends(
    own_postgres: Postgres, pool_mode: str
) -> None:
    with pgbouncer(own_postgres, pool_mode) as port:

        def connect() -> Any:
            return Postgres(port=port, password=own_postgres.password).connect()

        if pool_mode == "session":
            refuse_pooler(connect)
        else:
            with pytest.raises(PooledError, match="name PostgreSQL itself"):
                refuse_pooler(connect)


def test_homeservers_on_one_server_do_not_see_each_other(
    claim: Callable[..., Held], own_postgres: Postgres
) -> None:
    claim("a", topology=2).enter()
    own_postgres.create_database("another")
    other = Held(own_postgres, "another", "a", topology=1).enter()
    other.fence.leave()


def test_a_query_that_runs_is_cut_with_the_fence(claim: Callable[..., Held]) -> None:
    held = claim("a", topology=1).enter()
    connection = held.connect()
    failed: list[psycopg2.Error] = []

    def query() -> None:
        try:
            connection.cursor().execute("SELECT pg_sleep(60)")
        except psycopg2.Error as error:
            failed.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    wait_until(lambda: connection.info.transaction_status == 1, what="the query", seconds=20)
    held.fence.leave()
    thread.join(20)
    assert failed
