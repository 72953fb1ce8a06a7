"""Connections that the protocol can rest on: set up to be missed soon when their client is gone.

Refuses a pooler that shares backends between clients, because locks belong to backends.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from typing import TYPE_CHECKING, Any

import psycopg2.extensions

if TYPE_CHECKING:
    from collections.abc import Callable

_MISSED_SOON = """
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 11000;
"""
"""On the server's side: a dead node's connections are given up, and their locks with them, after
about 11 s."""

_NOT_IDLE = "SET idle_session_timeout = 0;"
_QUERIES_END = "SET client_connection_check_interval = 1000;"
"""A query whose client is gone ends within a second, not when it is done."""

_VERSION_14 = 140000
_LOOKS = 3


_ENDED = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Connection(psycopg2.extensions.connection):  # type: ignore[misc]
    """A connection that knows when the server has ended it, and can be referred to weakly.

    psycopg2 notices at the next query only, and Synapse's pool asks before it uses a connection:
    after a restart of the database one request would fail for each connection of each process.
    """

    @property
    def closed(self) -> int:
        """Not 0 if it is of no use any more."""
        return int(super().closed) or int(_ended(self))


class PooledError(Exception):
    """The address leads to a pooler in transaction mode; the message says what to do."""


def make(dsn: str, **arguments: Any) -> Connection:
    """Opens a connection, set up and in autocommit mode; psycopg2's connection_factory."""
    connection = Connection(dsn, **arguments)
    try:
        connection.autocommit = True
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: Any) -> None:
    """Sets up one connection that is in autocommit mode."""
    statements = _MISSED_SOON
    if connection.server_version >= _VERSION_14:
        statements += _NOT_IDLE + _QUERIES_END
    with connection.cursor() as cursor:
        cursor.execute(statements)


def refuse_pooler(connect: Callable[[], Any]) -> None:
    """Asks two clients in turns for their backend: each has one of its own, and keeps it.

    Raises:
        PooledError: if they share one, or if one client's changes.
        psycopg2.Error: if the database cannot be used.

    """
    with contextlib.closing(connect()) as one, contextlib.closing(connect()) as other:
        one.autocommit = other.autocommit = True
        seen = {(_backend(one), _backend(other)) for _ in range(_LOOKS)}
    if len(seen) > 1 or any(first == second for first, second in seen):
        raise PooledError(_POOLED)


_POOLED = (
    "the database's address leads to a pooler that gives each transaction another backend, and "
    "locks belong to backends: name PostgreSQL itself, or a pooler in session mode"
)


def _backend(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _ended(connection: Any) -> bool:
    """What the kernel knows: the other end has closed it, or does not answer any more."""
    look = select.poll()
    look.register(connection, select.POLLRDHUP)
    return any(event & _ENDED for _, event in look.poll(0))


def cut(connection: Any) -> None:
    """Ends a connection at once from any thread, whatever query it runs.

    `close` would wait for the query; the connection's owner sees a lost connection.
    """
    with contextlib.suppress(Exception):
        descriptor = os.dup(connection.fileno())
        with socket.socket(fileno=descriptor) as peer:
            peer.shutdown(socket.SHUT_RDWR)
