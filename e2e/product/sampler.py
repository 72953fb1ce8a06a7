"""Looks at pg_stat_activity many times a second: `python -m e2e.product.sampler` (see `sampling`).

A process of its own, so that nothing else keeps it from looking. Takes the connection string from
its first line of input, looks until the input ends, and prints what it saw as JSON. Times are the
server's.
"""

from __future__ import annotations

import json
import re
import select
import sys
import time
from typing import Any

import psycopg2

from e2e.product.database import OF_LAUNCHERS

PERIOD = 0.03
_LOOK = """
SELECT extract(epoch FROM clock_timestamp())::float8, pid,
       extract(epoch FROM backend_start)::float8, application_name, query,
       extract(epoch FROM greatest(query_start, state_change))::float8
FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ ' t[0-9]+( |$)' AND query IS NOT NULL
"""
# What a process looks at that only waits for entry, and no other query of Synapse's.
_BEFORE_ENTRY = {"schema_version", "schema_compat_version", *OF_LAUNCHERS}
_TABLE = re.compile(r'\b(?:FROM|INTO|UPDATE)\s+(?:ONLY\s+)?"?(\w+)', re.IGNORECASE)


class Sampler:
    """What was seen so far: each connection, and when the database was not there."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._tables: frozenset[str] = frozenset()
        self._backends: dict[tuple[int, float], dict[str, Any]] = {}
        self._looks: list[float] = []
        self._outages: list[float] = []

    def run(self, seconds: float) -> None:
        """Look until somebody closes the input, a period apart; never raises for the database."""
        connection: Any = None
        due = time.monotonic()
        while not _closed(max(due - time.monotonic(), 0)):
            due = max(due + seconds, time.monotonic())
            try:
                connection = connection or self._connect()
                self._look(connection)
            except psycopg2.Error:
                connection = None
                self._outages.append(time.time())
                due = time.monotonic() + 10 * seconds

    def report(self) -> dict[str, Any]:
        """What `sampling` reads."""
        return {
            "looks": self._looks,
            "outages": self._outages,
            "backends": [*self._backends.values()],
        }

    def _connect(self) -> Any:
        connection = psycopg2.connect(self._dsn)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            self._tables = frozenset(row[0] for row in cursor) - _BEFORE_ENTRY
        return connection

    def _look(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_LOOK)
            rows = cursor.fetchall()
        # A connection may have been made before it got a name with epochs.
        before = self._looks[-1] if self._looks else 0.0
        for now, pid, made, application, query, active in rows:
            began = max(made, before)
            seen = self._backends.setdefault(
                (pid, made),
                {"application": application, "began": began, "works": False, "last": began},
            )
            seen["seen"] = now
            if self._is_synapses(query):
                seen["works"] = True
                seen["last"] = max(seen["last"], active)
        self._looks.append(rows[0][0] if rows else time.time())

    def _is_synapses(self, query: str) -> bool:
        return any(table.lower() in self._tables for table in _TABLE.findall(query))


def _closed(seconds: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable)


def main() -> None:
    """Run until the input ends."""
    sampler = Sampler(sys.stdin.readline().strip())
    sampler.run(PERIOD)
    json.dump(sampler.report(), sys.stdout)


if __name__ == "__main__":
    main()
