"""Connections to the database that are made before they may be used.

A new connection is a process of the server's that has yet to learn of every table. Where all of an
epoch make theirs at once, clients wait for that; a process that is to wait for its fences has time.
Admits nobody: whoever takes one has it admitted, as any other.
"""

from __future__ import annotations

import collections
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import parse_dsn

from homeserver_runtime.fence.session import Connection, make

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

# Who is not the server's own does not see of whom a limit speaks, but how many there are. A pooler
# tells another number for the backend than the backend itself, and may have few of them.
_HAS_ROOM = """
SELECT pg_backend_pid() = %(backend)s AND bool_and(2 * (used + %(more)s) <= most)
FROM (VALUES
  ((SELECT sum(numbackends) FROM pg_stat_database), current_setting('max_connections')::int),
  ((SELECT sum(numbackends) FROM pg_stat_database WHERE datname = current_database()),
   (SELECT datconnlimit FROM pg_database WHERE datname = current_database())),
  ((SELECT count(*) FROM pg_stat_activity WHERE usesysid = current_user::regrole),
   (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user))
) AS bound (used, most)
WHERE most >= 0
"""
_LEARN_TABLES = """
DO $learn$
DECLARE known regclass;
BEGIN
  FOR known IN SELECT oid FROM pg_class
    WHERE relkind = 'r' AND relnamespace = ANY (current_schemas(false)::regnamespace[])
      AND has_table_privilege(oid, 'SELECT')
  LOOP
    EXECUTE format('SELECT FROM %s LIMIT 0', known);
    -- Else it would have a lock on each table and index at once, and there are not many to have.
    COMMIT;
  END LOOP;
END
$learn$
"""


class Reserve:
    """What one process has made; any thread may take."""

    def __init__(self) -> None:
        self._made: collections.deque[tuple[dict[str, str], Connection]] = collections.deque()

    def fill(self, connect: Callable[..., Any], number: int) -> None:
        """Makes up to `number` connections, if they leave half of what the server allows to others.

        Without a reserve, or with a smaller one, connections are made when they are needed.

        Args:
            connect: opens one with the `connection_factory` that it is given.
            number: how many.

        """
        try:
            while len(self._made) < number:
                connection = connect(connection_factory=self._make)
                if not _has_room(connection, number - len(self._made)):
                    logger.info("No connections in reserve: the server may need them for others")
                    self.close()
                    return
                _learn_tables(connection)
        except psycopg2.Error as error:
            logger.info("No connections in reserve: %s", str(error).strip())
            self.close()

    def take(self, dsn: str) -> Connection | None:
        """One that lives, made as `dsn` says and named so now; None if there is none."""
        name, wanted = _named(dsn)
        while self._made:
            with contextlib.suppress(IndexError, psycopg2.Error):  # others take, too; it has died
                arguments, connection = self._made.popleft()
                if arguments == wanted and not connection.closed:
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT set_config('application_name', %s, false)", (name,))
                    return connection
                connection.close()
        return None

    def close(self) -> None:
        """Gives up what was not taken."""
        with contextlib.suppress(IndexError):
            while True:
                self._made.popleft()[1].close()

    def _make(self, dsn: str, **arguments: Any) -> Connection:
        connection = make(dsn, **arguments)
        self._made.append((_named(dsn)[1], connection))
        return connection


def _named(dsn: str) -> tuple[str, dict[str, str]]:
    """The name in it, and all else."""
    told: dict[str, str] = parse_dsn(dsn)
    return told.pop("application_name", ""), told


def _has_room(connection: Any, more: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_HAS_ROOM, {"backend": connection.info.backend_pid, "more": more})
        return bool(cursor.fetchone()[0])


def _learn_tables(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
        # Alone, or what it commits would be a part of what was sent with it.
        cursor.execute(_LEARN_TABLES)
        cursor.execute("RESET lock_timeout")
