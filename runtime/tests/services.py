"""A PostgreSQL and a Redis of our own, on loopback ports, for as long as a test needs them.

Neither is a system service: both run in the foreground, in a temporary directory, and end with the
context that started them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import redis

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPBACK = "127.0.0.1"
AWKWARD_PASSWORD = "a:b\\c d'ü"
"""Holds what a passfile has to escape."""


def wait_until(
    condition: Callable[[], object], *, seconds: float = 180, what: str = "a condition"
) -> None:
    """Returns when `condition()` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


async def until(condition: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """`wait_until`, while this process answers requests."""
    await asyncio.to_thread(wait_until, condition, what=what, seconds=seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL whose superuser `postgres` has a password."""

    port: int
    password: str

    def connect(self, database: str = "postgres") -> Any:
        connection = psycopg2.connect(
            host=LOOPBACK,
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=database,
        )
        connection.autocommit = True
        return connection

    def execute(self, statement: str) -> None:
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def create_database(self, name: str) -> None:
        """An empty database as Synapse wants it: UTF-8, C collation."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")


@contextlib.contextmanager
def postgres(password: str = AWKWARD_PASSWORD) -> Iterator[Postgres]:
    """A new cluster, without fsync. PostgreSQL refuses root, so root starts it as `postgres`."""
    programs = _postgres_programs()
    with _directory() as directory:
        password_file = directory / "password"
        password_file.write_text(password + "\n", encoding="utf-8")
        data = directory / "data"
        identity = _unprivileged(directory)
        subprocess.run(
            [
                programs / "initdb",
                "--username=postgres",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                data,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **identity,
        )
        server = Postgres(port=free_port(), password=password)
        arguments = [
            programs / "postgres",
            f"-D{data}",
            f"-p{server.port}",
            f"-k{directory}",
            f"-clisten_addresses={LOOPBACK}",
            "-cfsync=off",
            "-cmax_connections=150",
        ]
        with _running(arguments, directory / "log", **identity):
            wait_until(lambda: _connects(server), what="PostgreSQL")
            yield server


class Redis:
    """A Redis that can be stopped and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._stack = contextlib.ExitStack()

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(host=LOOPBACK, port=self.port, socket_timeout=5)

    def start(self) -> None:
        arguments = ["redis-server", "--port", str(self.port), "--bind", LOOPBACK]
        arguments += ["--save", "", "--dir", str(self._directory)]
        self._stack.enter_context(_running(arguments, self._directory / "log"))
        wait_until(self._answers, what="Redis")

    def stop(self) -> None:
        self._stack.close()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def redis_server() -> Iterator[Redis]:
    """A new Redis without persistence."""
    with _directory() as directory:
        server = Redis(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def pgbouncer(server: Postgres, pool_mode: str, *, port: int | None = None) -> Iterator[int]:
    """A PgBouncer before a server, whose user is everybody; yields its port."""
    with _directory() as directory:
        port = port or free_port()
        password = server.password.replace("'", "''")
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            f"""
            [databases]
            * = host={LOOPBACK} port={server.port} user=postgres password='{password}'
            [pgbouncer]
            listen_addr = {LOOPBACK}
            listen_port = {port}
            unix_socket_dir =
            auth_type = any
            pool_mode = {pool_mode}
            """.replace("            ", ""),
            encoding="utf-8",
        )
        pooler = Postgres(port=port, password=server.password)
        with _running(["pgbouncer", settings], directory / "log", **_unprivileged(directory)):
            wait_until(lambda: _connects(pooler), what="PgBouncer")
            yield port


def _connects(server: Postgres) -> bool:
    with contextlib.suppress(psycopg2.OperationalError):
        server.connect().close()
        return True
    return False


def _postgres_programs() -> Path:
    """Debian keeps initdb and postgres off PATH."""
    found = shutil.which("initdb")
    candidates = (
        [Path(found)] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    )
    if not candidates:
        raise FileNotFoundError(
            "no initdb; install PostgreSQL (Debian: apt-get install postgresql)"
        )
    return candidates[-1].resolve().parent


def _unprivileged(directory: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    for path in (directory, *directory.iterdir()):
        os.chown(path, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": directory}


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="homeserver-") as name:
        yield Path(name)


@contextlib.contextmanager
def _running(arguments: list[Any], log: Path, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, **options)
        try:
            yield
        finally:
            # To PostgreSQL the fast shutdown; Redis takes it for Ctrl-C.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
