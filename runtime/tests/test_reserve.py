"""Connections that are made before they may be used, on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from tests.held import Held, terminate
from tests.services import LOOPBACK, Postgres, pgbouncer, wait_until

from homeserver_runtime.fence.reserve import Reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fill = Callable[..., Reserve]
    Look = Callable[[str], list[Any]]

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]


@pytest.fixture
def fill(own_postgres: Postgres, database: str) -> Iterator[Fill]:
    """Makes a reserve of so many connections, and closes what is left of it."""
    with contextlib.ExitStack() as stack:

        def make(number: int, *, port: int = own_postgres.port, user: str = "postgres") -> Reserve:
            reserve = Reserve()
            stack.callback(reserve.close)
            connect = functools.partial(
                psycopg2.connect,
                host=LOOPBACK, port=port, user=user,
                password=own_postgres.password, dbname=database, application_name="in reserve",
            )  # fmt: skip
            reserve.fill(connect, number)
            return reserve

        yield make


@pytest.fixture
def look(own_postgres: Postgres, database: str) -> Iterator[Look]:
    """Asks the server something that is one column."""
    with contextlib.closing(own_postgres.connect(database)) as connection:

        def ask(query: str) -> list[Any]:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return [value for (value,) in cursor]

        yield ask


IN_RESERVE = "SELECT pid FROM pg_stat_activity WHERE application_name = 'in reserve'"


def test_what_is_in_reserve_is_used_first_and_holds_the_fences_from_then_on(
    fill: Fill, look: Look, own_postgres: Postgres, database: str
) -> None:
    reserve = fill(2)
    made = look(IN_RESERVE)
    assert len(made) == 2
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = {}"
    held = Held(own_postgres, database, "a", reserve=reserve, topology=1).enter()
    connections = [held.connect() for _ in range(3)]
    pids = [connection.info.backend_pid for connection in connections]
    assert sorted(pids[:2]) == sorted(made)
    assert pids[2] not in made
    assert {look(locks.format(pid))[0] for pid in pids} == {3}
    assert look(IN_RESERVE) == []
    held.fence.leave()


def test_what_nobody_used_ends_with_the_fence(
    fill: Fill, look: Look, own_postgres: Postgres, database: str
) -> None:
    held = Held(own_postgres, database, "a", reserve=fill(2), topology=1).enter()
    held.fence.leave()
    wait_until(lambda: not look(IN_RESERVE), what="the end of the reserve")


def test_what_the_server_has_ended_is_not_handed_out(
    fill: Fill, look: Look, own_postgres: Postgres, database: str
) -> None:
    reserve = fill(2)
    ended, lives = look(IN_RESERVE)
    terminate(own_postgres, database, f"pid = {ended}")
    held = Held(own_postgres, database, "a", reserve=reserve, topology=1).enter()
    assert held.connect().info.backend_pid == lives
    assert held.connect().info.backend_pid != ended
    held.fence.leave()


def test_who_connects_elsewhere_gets_none(fill: Fill, own_postgres: Postgres) -> None:
    dsn = f"host={LOOPBACK} port={own_postgres.port} user=postgres dbname=postgres password=x"
    assert fill(1).take(dsn) is None


@pytest.mark.parametrize(
    "limited",
    [
        pytest.param("DATABASE {database}", id="the database"),
        pytest.param("ROLE postgres", id="the role"),
    ],
)
def test_where_few_may_connect_others_keep_room(
    fill: Fill, look: Look, own_postgres: Postgres, database: str, limited: str
) -> None:
    whose = limited.format(database=f'"{database}"')
    own_postgres.execute(f"ALTER {whose} CONNECTION LIMIT 5")
    try:
        fill(3)
    finally:
        own_postgres.execute(f"ALTER {whose} CONNECTION LIMIT -1")
    wait_until(lambda: not look(IN_RESERVE), seconds=20, what="none in reserve")


def test_a_server_that_would_be_more_than_half_full_keeps_room(fill: Fill, look: Look) -> None:
    (most,) = look("SELECT current_setting('max_connections')::int")
    fill(most // 2 + 1)
    wait_until(lambda: not look(IN_RESERVE), seconds=20, what="none in reserve")


def test_a_pooler_keeps_its_room(fill: Fill, look: Look, own_postgres: Postgres) -> None:
    with pgbouncer(own_postgres, "session") as port:
        fill(2, port=port)
        wait_until(lambda: not look(IN_RESERVE), seconds=20, what="none in reserve")


def test_a_table_that_somebody_has_locked_is_not_waited_for(
    fill: Fill, look: Look, own_postgres: Postgres, database: str
) -> None:
    with contextlib.closing(own_postgres.connect(database)) as other:
        cursor = other.cursor()
        cursor.execute("CREATE TABLE locked ()")
        other.autocommit = False
        cursor.execute("LOCK TABLE locked")
        fill(1)
    wait_until(lambda: not look(IN_RESERVE), seconds=20, what="none in reserve")


def test_a_table_that_is_somebody_elses_is_left_alone(
    fill: Fill, look: Look, own_postgres: Postgres, database: str
) -> None:
    password = own_postgres.password.replace("'", "''")
    with contextlib.closing(own_postgres.connect(database)) as other:
        other.cursor().execute(
            f"CREATE TABLE elses (); CREATE ROLE synapse LOGIN PASSWORD '{password}'"
        )
    try:
        fill(1, user="synapse")
        assert len(look(IN_RESERVE)) == 1
    finally:
        own_postgres.execute("DROP ROLE synapse")
