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

from e2e.product.kube import Kube
from e2e.product.overlaps import Deed
from homeserver_runtime.label import parse

PORT = 5432
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
# The launchers' own, where those write that only ask to enter.
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s"
_FENCES = "homeserver_fences"


@dataclass(frozen=True)
class Database:
    """The managed PostgreSQL of a homeserver, reached by its Service's address."""

    kube: Kube
    homeserver: str

    @property
    def dsn(self) -> str:
        """How the homeserver's own role comes in; the password is its generated one."""
        service = self.kube.get("service", f"{self.homeserver}-postgres")
        secret = self.kube.get("secret", f"{self.homeserver}-postgres")["data"]
        (password,) = secret.values()
        host = service["spec"]["clusterIP"]
        word = base64.b64decode(password).decode()
        return (
            f"host={host} port={PORT} dbname=synapse user=synapse password='{word}' "
            "connect_timeout=2 application_name=e2e"
        )

    def note_writes(self) -> None:
        """From now on every writing statement is noted."""
        with self._connected() as cursor:
            cursor.execute(_INSTALL)
            cursor.execute(_TABLES, (_FENCES,))
            for (table,) in cursor.fetchall():
                cursor.execute(
                    f'CREATE OR REPLACE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON "{table}"'
                    " FOR EACH STATEMENT EXECUTE FUNCTION audit.note()"
                )

    def forget_writes(self) -> None:
        """Begin anew."""
        with self._connected() as cursor:
            cursor.execute("TRUNCATE audit.writes")

    def writes(self) -> list[Deed]:
        """What has been noted of processes that have epochs."""
        with self._connected() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM at)::float8, application, what FROM audit.writes"
            )
            found = [Deed(at, parse(application), what) for at, application, what in cursor]
        return [deed for deed in found if deed.label.epochs]

    def make_another(self, name: str, password: str) -> None:
        """One more database on the same server, of a role of the same name."""
        for statement in (
            f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
            f"CREATE DATABASE {name} OWNER {name}",
        ):
            self.kube.run(
                *("exec", f"deployment/{self.homeserver}-postgres", "--"),
                *("psql", "-h", "/tmp", "-U", "postgres", "-c", statement),  # noqa: S108 - its socket
            )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        with contextlib.closing(psycopg2.connect(self.dsn)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
