"""A process that writes rows as fast as its fences let it: run by the stress test.

Arguments: port and database of PostgreSQL, name, epoch; the password is in PGPASSWORD.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import psycopg2

from homeserver_runtime.fence.claim import Claim
from homeserver_runtime.fence.fence import Fence, SupersededError

INSERT = "INSERT INTO written (epoch, name) SELECT %s, %s FROM pg_sleep(0.6 * random())"
"""Slow, so that who is killed leaves a query behind that goes on for a while."""


def main() -> None:
    port, database, name, epoch = sys.argv[1:]
    arguments: dict[str, Any] = {
        "host": "127.0.0.1", "port": port, "user": "postgres", "dbname": database,
        "application_name": f"{name} {epoch}",
    }  # fmt: skip
    fence = Fence(
        Claim(name=name, epochs={"topology": int(epoch)}),
        lambda: psycopg2.connect(**arguments),
        waits_for=lambda _what: None,
        ends=lambda _why: os._exit(1),
        retake_seconds=5,
        yield_seconds=3,
    )
    try:
        fence.enter()
    except SupersededError:
        sys.exit(0)
    while True:
        try:
            connection = psycopg2.connect(**arguments, connection_factory=fence.open)
            connection.autocommit = True
            with connection.cursor() as cursor:
                while True:
                    cursor.execute(INSERT, (epoch, name))
        except psycopg2.Error:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
