"""Looks at PostgreSQL before and after Synapse does: facts for /state, and the schema's age.

Changes nothing in the database. Processes wait here for PostgreSQL, and workers for main, which
alone migrates, where Synapse itself would end with an error and start over. A database that can
never be used is refused before anything has to stop for this process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.errors import LockNotAvailable, UniqueViolation
from synapse.storage.database import make_conn
from synapse.storage.engines import IncorrectDatabaseSetup, create_engine
from synapse.storage.prepare_database import PrepareDatabaseException, prepare_database
from synapse.storage.schema import SCHEMA_COMPAT_VERSION, SCHEMA_VERSION

from homeserver_runtime.contract import ConfigurationRefusedError
from homeserver_runtime.failure import StartupFailedError
from homeserver_runtime.state import DatabaseFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0
# A worker that is blocked inside libpq hears no signal, and main holds locks while it migrates.
_LOCK_TIMEOUT = "2s"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The database as a process found it before it entered.

    `was_away`: it had to be waited for. `complete`: the schema is what this image brings it to, so
    that nobody has to look again; it does not become older.
    """

    facts: DatabaseFacts
    was_away: bool
    complete: bool


def await_server(config: Any, waits_for: Callable[[str], None]) -> Found:
    """Returns once PostgreSQL takes connections; looks for two minutes.

    Processes and database often start together, and ending with an error would only add the
    back-off of whoever restarts this process.

    Args:
        config: Synapse's parsed configuration.
        waits_for: is told, at every look in vain, what is being waited for.

    Raises:
        ConfigurationRefusedError: if this image can never use the database.
        StartupFailedError: if the database refuses (a wrong password, an unknown database), or
            is not there after two minutes, saying which one and why.

    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    was_away = False
    while True:
        try:
            with _connection(config) as (connection, engine):
                _refuse_locale(connection.conn, engine)
                facts = _facts(connection.conn)
                _refuse_too_new(facts)
                complete = _is_complete(config, connection, engine, facts)
                return Found(facts=facts, was_away=was_away, complete=complete)
        except StartupFailedError as error:
            if not _may_come(str(error)) or time.monotonic() > deadline:
                raise
            was_away = True
            waits_for(str(error))
        except LockNotAvailable:
            waits_for("whoever changes the database schema")
        time.sleep(_POLL_SECONDS)


def _is_complete(config: Any, connection: Any, engine: Any, facts: DatabaseFacts) -> bool:
    if config.worker.worker_app is None:
        versions = (facts.schema_version, facts.compat_version)
        return versions == (SCHEMA_VERSION, SCHEMA_COMPAT_VERSION)
    # Modules of an old kind bring tables of their own, and every worker makes them.
    return not (
        config.authproviders.password_providers or _missing(config, connection, engine, facts)
    )


def _refuse_locale(connection: Any, engine: Any) -> None:
    """What Synapse itself would say about encoding, collation and PostgreSQL's version."""
    try:
        engine.check_database(connection)
    except IncorrectDatabaseSetup as error:
        words, *values = error.args
        raise ConfigurationRefusedError(words % tuple(values)) from error
    except RuntimeError as error:
        raise ConfigurationRefusedError(str(error)) from error


def _refuse_too_new(facts: DatabaseFacts) -> None:
    """An older schema is none of these: main brings it up to date, and the others wait."""
    if facts.compat_version is not None and facts.compat_version > SCHEMA_VERSION:
        raise ConfigurationRefusedError(
            f"the database is too new for this image: it has schema version {facts.schema_version} "
            f"and can be used from version {facts.compat_version} on, and this image's Synapse has "
            f"{SCHEMA_VERSION}; use an image with a later Synapse, or restore a backup of the "
            "database from before the upgrade"
        )


def _may_come(refusal: str) -> bool:
    """Whether waiting can help: nobody listens yet, or the server says that it is starting."""
    return "FATAL:" not in refusal or any(
        f"the database system is {doing}" in refusal
        for doing in ("starting up", "shutting down", "in recovery mode", "not yet accepting")
    )


def examine(config: Any) -> DatabaseFacts:
    """What /state says of the database that Synapse's parsed configuration names.

    Raises:
        StartupFailedError: if the database cannot be used, saying which one and why.

    """
    with _connection(config) as (connection, _):
        return _facts(connection.conn)


def migration(facts: DatabaseFacts) -> str:
    """What main waits for while Synapse brings the schema up to date."""
    if facts.schema_version is None:
        return f"PostgreSQL to make schema {SCHEMA_VERSION}"
    if facts.schema_version < SCHEMA_VERSION:
        return f"PostgreSQL to migrate the schema from {facts.schema_version} to {SCHEMA_VERSION}"
    return f"PostgreSQL to bring schema {SCHEMA_VERSION} up to date"


def await_schema(config: Any, waits_for: Callable[[str], None]) -> DatabaseFacts:
    """Returns once main has brought the schema to what this worker needs; looks each second.

    Args:
        config: Synapse's parsed configuration, of a worker.
        waits_for: is told, at every look in vain, what is being waited for.

    Raises:
        StartupFailedError: if the database cannot be used, saying which one and why.

    """
    while True:
        with _connection(config) as (connection, engine):
            facts = _facts(connection.conn)
            missing = _missing(config, connection, engine, facts)
        if missing is None:
            return facts
        waits_for(missing)
        time.sleep(_POLL_SECONDS)


def _missing(config: Any, connection: Any, engine: Any, facts: DatabaseFacts) -> str | None:
    if facts.schema_version is None:
        return "main to make the database schema"
    if facts.schema_version < SCHEMA_VERSION:
        return f"main to migrate the schema from {facts.schema_version} to {SCHEMA_VERSION}"
    if facts.compat_version is None or facts.compat_version < SCHEMA_COMPAT_VERSION:
        # Asked now, Synapse would write it on any worker, before the old processes have gone.
        return "main to say which images can still use the schema"
    try:
        # On a worker this only compares, and raises for what has not been applied.
        prepare_database(
            connection, engine, config, databases=config.database.databases[0].databases
        )
    except PrepareDatabaseException as error:
        return f"main to finish the migration ({error})"
    except (LockNotAvailable, UniqueViolation):
        return "main, which is changing the database schema"
    return None


@contextlib.contextmanager
def _connection(config: Any) -> Iterator[tuple[Any, Any]]:
    """A connection as Synapse makes them, and its engine; closed at the end."""
    settings = config.database.databases[0]
    engine = create_engine(settings.config)
    try:
        connection = make_conn(
            db_config=settings,
            engine=engine,
            default_txn_name="launcher",
            server_name=config.server.server_name,
        )
    except psycopg2.OperationalError as error:
        raise StartupFailedError(_unusable(settings.config["args"], error)) from error
    try:
        yield connection, engine
    finally:
        connection.close()


def _unusable(arguments: dict[str, Any], error: Exception) -> str:
    name = arguments.get("dbname") or arguments.get("database") or "(libpq's default)"
    host, port = arguments.get("host", "(libpq's default)"), arguments.get("port", 5432)
    return f"cannot use the database {name!r} at {host}, port {port}: {error}".rstrip()


def _facts(connection: Any) -> DatabaseFacts:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.execute("SELECT current_setting('max_connections')::int")
        max_connections = cursor.fetchone()[0]
        version = _number(cursor, "version", "schema_version")
        compat_version = _number(cursor, "compat_version", "schema_compat_version")
    connection.commit()
    return DatabaseFacts(
        schema_version=version,
        compat_version=compat_version,
        image_schema_version=SCHEMA_VERSION,
        max_connections=max_connections,
    )


def _number(cursor: Any, column: str, table: str) -> int | None:
    """The number in a table of one row; None where there is no table or no row yet."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
    if not cursor.fetchone()[0]:
        return None
    cursor.execute(f"SELECT {column} FROM {table}")  # noqa: S608 - names of this module
    row = cursor.fetchone()
    return int(row[0]) if row else None
