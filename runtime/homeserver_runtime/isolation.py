"""Lets processes that start together read the database beside each other.

While it builds its stores, each process of Synapse deletes the positions of writers that are not in
its configuration any more, all in one transaction of REPEATABLE READ. When a writer has just gone,
all processes of the new epoch delete the same rows, and PostgreSQL refuses everybody but the first:
"could not serialize access due to concurrent delete". In READ COMMITTED they find them gone. What
Synapse reads there is true of a later moment then, which it allows for: it takes the positions
first, and then the rows that have come after them.

Concerns only that one connection; those of the pool stay as Synapse has them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
from synapse.storage import databases

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def reading_what_is_committed() -> Iterator[None]:
    """While the block runs, stores are built on a connection that is not refused what is gone."""
    connect = databases.make_conn

    def make_conn(**arguments: Any) -> Any:
        connection = connect(**arguments)
        connection.set_isolation_level(ISOLATION_LEVEL_READ_COMMITTED)
        return connection

    databases.make_conn = make_conn
    try:
        yield
    finally:
        databases.make_conn = connect
