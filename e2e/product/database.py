"""A homeserver's own PostgreSQL, from outside: who writes there, noted by PostgreSQL itself.

Triggers on every table of Synapse's note each writing statement with the connection's
application_name. What is noted in a transaction that fails is gone with it, like what was written.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2e.product import postgres
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


@dataclass(frozen=True)
class Database:
    """One homeserver's database, as its own role sees it."""

    dsn: str

    def note_writes(self) -> None:
        """From now on every writing statement is noted."""
        with postgres.connected(self.dsn) as cursor:
            cursor.execute(_INSTALL)
            cursor.execute(_TABLES, ([*OF_LAUNCHERS],))
            for (table,) in cursor.fetchall():
                cursor.execute(_TRIGGER.format(table=table))

    def forget_writes(self) -> None:
        """Begin anew."""
        with postgres.connected(self.dsn) as cursor:
            cursor.execute("TRUNCATE audit.writes")

    def writes(self) -> list[Deed]:
        """What has been noted of processes that have epochs."""
        with postgres.connected(self.dsn) as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM at)::float8, application, what FROM audit.writes"
            )
            found = [Deed(at, parse(application), what) for at, application, what in cursor]
        return [deed for deed in found if deed.label.epochs]


def managed(kube: Kube, homeserver: str) -> Database:
    """The managed PostgreSQL's."""
    return Database(postgres.managed(kube, homeserver))
