"""A homeserver's own PostgreSQL, from outside: who writes there, noted by PostgreSQL itself.

Triggers on every table of Synapse's note each writing statement with the connection's
application_name. What is noted in a transaction that fails is gone with it, like what was written.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from e2e.product.kube import Kube
from e2e.product.overlaps import Deed
from homeserver_runtime.label import parse

_INSTALL = """
CREATE SCHEMA IF NOT EXISTS audit;
CREATE TABLE IF NOT EXISTS audit.writes (at timestamptz, application text, what text);
CREATE OR REPLACE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $note$
BEGIN
  INSERT INTO audit.writes VALUES (
    clock_timestamp(), current_setting('application_name'), TG_OP || ' ' || TG_TABLE_NAME
  );
  RETURN NULL;
END
$note$;
"""
OF_LAUNCHERS = ("homeserver_fences", "homeserver_successors")
"""The tables in which those write, too, that only wait to enter."""

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL (%s)"
_TRIGGER = """
CREATE OR REPLACE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON "{table}"
FOR EACH STATEMENT EXECUTE FUNCTION audit.note()
"""

_LEARN_KEY = """
INSERT INTO server_signature_keys
  (server_name, key_id, from_server, verify_key, ts_added_ms, ts_valid_until_ms)
VALUES (%s, %s, %s, %s, 0, %s)
ON CONFLICT (server_name, key_id) DO UPDATE SET verify_key = excluded.verify_key
"""
_FOREVER = 4_000_000_000_000
"""Milliseconds since 1970: in 2096."""


@dataclass(frozen=True)
class Database:
    """One homeserver's database, as its own role sees it."""

    dsn: str

    def note_writes(self) -> None:
        """From now on every writing statement is noted."""
        with self._connected() as cursor:
            cursor.execute(_INSTALL)
            cursor.execute(_TABLES, ([*OF_LAUNCHERS],))
            for (table,) in cursor.fetchall():
                cursor.execute(_TRIGGER.format(table=table))

    def forget_writes(self) -> None:
        """Begin anew."""
        with self._connected() as cursor:
            cursor.execute("TRUNCATE audit.writes")

    def learn_key(self, server: str, key: str, verify_key: bytes) -> None:
        """As if the key of another server had been fetched from that; it stays valid."""
        row = (server, key, server, verify_key, _FOREVER)
        with self._connected() as cursor:
            cursor.execute(_LEARN_KEY, row)

    def writes(self) -> list[Deed]:
        """What has been noted of processes that have epochs."""
        with self._connected() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM at)::float8, application, what FROM audit.writes"
            )
            found = [Deed(at, parse(application), what) for at, application, what in cursor]
        return [deed for deed in found if deed.label.epochs]

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        with contextlib.closing(psycopg2.connect(self.dsn)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor


def managed(kube: Kube, homeserver: str) -> Database:
    """The managed PostgreSQL's, by its Service's address and the generated password."""
    host = kube.get("service", f"{homeserver}-postgres")["spec"]["clusterIP"]
    (password,) = kube.get("secret", f"{homeserver}-postgres")["data"].values()
    return Database(
        make_dsn(
            host=host,
            dbname="synapse",
            user="synapse",
            password=base64.b64decode(password).decode(),
            connect_timeout=2,
        )
    )


def make_another(kube: Kube, homeserver: str, name: str, password: str) -> None:
    """One more database on the same server, of a role of the same name."""
    for statement in (
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
        f"CREATE DATABASE {name} OWNER {name}",
    ):
        kube.run(
            *("exec", f"deployment/{homeserver}-postgres", "--"),
            *("psql", "-h", "/tmp", "-U", "postgres", "-c", statement),  # noqa: S108 - its socket
        )
