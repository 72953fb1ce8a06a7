"""Processes of one homeserver, started from files as a pod starts them."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.services import LOOPBACK, Postgres, Redis, wait_until

from e2e.cluster.ports import free_port
from homeserver_runtime.configuration import merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUNTIME = Path(__file__).resolve().parents[1]
SERVER_NAME = "test.example"
REGISTRATION_SECRET = "registration secret"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "plain",
            "stream": "ext://sys.stdout",
        }
    },
    "root": {"level": "INFO", "handlers": ["console"]},
}


@dataclasses.dataclass
class RuntimeProcess:
    """One `homeserver_runtime run`."""

    name: str
    directory: Path
    probe_port: int
    client_port: int
    metrics_port: int
    replication_port: int = 0
    """0: it has no listener for other processes."""
    popen: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    @property
    def termination_message(self) -> str:
        return (self.directory / "termination-log").read_text()

    def start(self, **environment: str) -> RuntimeProcess:
        directory = self.directory
        (directory / "run").mkdir(exist_ok=True)
        with (directory / "log").open("ab") as output:
            self.popen = subprocess.Popen(
                [
                    *(sys.executable, "-m", "homeserver_runtime", "run"),
                    *("--config", directory, "--run-dir", directory / "run"),
                    *("--termination-log", directory / "termination-log"),
                ],
                cwd=directory / "run",
                env=os.environ | {"PYTHONPATH": str(RUNTIME)} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        url = f"http://{LOOPBACK}:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read().decode())

    def metric(self, series: str, name: str) -> float:
        """The value of a series of Synapse's by its label `name`; 0 while there is none."""
        values = (
            sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
            if sample.name == series and sample.labels.get("name") == name
        )
        return float(next(values, 0))

    def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a probe; (0, {}) if nobody answers."""
        try:
            return _status_and_body(self.probe_port, path)
        except (OSError, http.client.HTTPException):  # the latter: it ended within its answer
            return 0, {}

    def wait_ready(self) -> None:
        try:
            wait_until(self._ready_or_dead, what=f"readiness of {self.name}")
        except TimeoutError:
            raise AssertionError(f"{self.probe('/ready')}\n{self.log[-4000:]}") from None
        assert self.popen is not None
        assert self.popen.poll() is None, self.log[-4000:]

    def _ready_or_dead(self) -> bool:
        assert self.popen is not None
        return self.popen.poll() is not None or self.probe("/ready")[0] == 200

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.popen is not None
        self.popen.send_signal(number)

    def wait(self, timeout: float = 180) -> int:
        """The exit code."""
        assert self.popen is not None
        return self.popen.wait(timeout)

    def kill(self) -> None:
        if self.popen is not None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """Where the processes of one homeserver find everything, and their files are made."""

    directory: Path
    postgres: Postgres
    redis: Redis
    database: str

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Changes Synapse's own tables."""
        with contextlib.closing(self.postgres.connect(self.database)) as connection:
            connection.cursor().execute(statement, values)

    def query(self, statement: str) -> tuple[Any, ...]:
        """The first row of an answer."""
        with (
            contextlib.closing(self.postgres.connect(self.database)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return tuple(cursor.fetchone())

    def write(
        self,
        name: str,
        *,
        role: str = "worker",
        settings: Mapping[str, Any] | None = None,
        launcher: Mapping[str, Any] | None = None,
        replication_ports: Mapping[str, int] | None = None,
        serves: Sequence[str] = ("client",),
    ) -> RuntimeProcess:
        """The files of one process as the operator would mount them."""
        directory = self.directory / name
        directory.mkdir()
        ports = replication_ports or {}
        process = RuntimeProcess(
            name=name,
            directory=directory,
            probe_port=free_port(),
            client_port=free_port(),
            metrics_port=free_port(),
            replication_port=ports.get(name, 0),
        )
        listeners = [
            http_listener(process.client_port, list(serves)),
            _metrics(process.metrics_port),
        ]
        if name in ports:
            listeners.append(http_listener(ports[name], ["replication"]))
        content = self._shared(directory, ports) | {
            "listeners" if role == "main" else "worker_listeners": listeners
        }
        self._file(directory / "homeserver.yaml", merge(content, settings or {}))
        self._file(directory / "log.yaml", LOGGING)
        self._file(
            directory / "launcher.yaml",
            {
                "version": 1,
                "name": name,
                "role": role,
                "probe_port": process.probe_port,
                "database": {
                    "username_file": str(self._text("postgres-username", "postgres\n")),
                    "password_file": str(
                        self._text("postgres-password", self.postgres.password + "\n")
                    ),
                },
                "config_from": [],
            }
            | dict(launcher or {}),
        )
        return process

    def write_fenced(
        self,
        *names: str,
        settings: Mapping[str, Any] | None = None,
        main_settings: Mapping[str, Any] | None = None,
        serves: Sequence[str] = ("client",),
    ) -> list[RuntimeProcess]:
        """The files of processes behind one fence; workers are called so, and others write."""
        ports = {name: free_port() for name in names if not name.startswith("worker")}
        return [
            self.write(
                name,
                role="main" if name == "main" else "worker",
                settings=merge(settings or {}, main_settings or {} if name == "main" else {}),
                launcher={"fences": {"topology": 1}},
                replication_ports=ports,
                serves=serves,
            )
            for name in names
        ]

    def _shared(self, directory: Path, ports: Mapping[str, int]) -> dict[str, Any]:
        return {
            "server_name": SERVER_NAME,
            "report_stats": False,
            "signing_key_path": str(
                self._text("signing.key", "ed25519 a_0000 " + "A" * 43 + "\n"),
            ),
            "macaroon_secret_key_path": str(self._text("macaroon", "macaroon secret\n")),
            "worker_replication_secret_path": str(self._text("replication", "shared-secret\n")),
            "registration_shared_secret_path": str(
                self._text("registration", REGISTRATION_SECRET + "\n")
            ),
            "enable_media_repo": False,
            "enable_metrics": True,
            "trusted_key_servers": [],
            "rc_login": {"address": {"per_second": 1000, "burst_count": 1000}},
            "rc_message": {"per_second": 1000, "burst_count": 1000},
            "database": {
                "name": "psycopg2",
                "args": {
                    "host": LOOPBACK,
                    "port": self.postgres.port,
                    "dbname": self.database,
                    "cp_min": 1,
                    "cp_max": 5,
                    "passfile": str(directory / "run" / "pgpass"),
                },
            },
            "redis": {"enabled": True, "host": LOOPBACK, "port": self.redis.port},
            "instance_map": {
                process: {"host": LOOPBACK, "port": port} for process, port in ports.items()
            },
            "stream_writers": {"events": [n for n in ports if n != "main"] or ["master"]},
        }

    def _text(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    @staticmethod
    def _file(path: Path, content: Mapping[str, Any]) -> None:
        path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")


def http_listener(port: int, names: list[str]) -> dict[str, Any]:
    """A listener as Synapse's settings have it."""
    return {
        "type": "http",
        "port": port,
        "bind_addresses": [LOOPBACK],
        "resources": [{"names": names}],
    }


def _status_and_body(port: int, path: str) -> tuple[int, dict[str, Any]]:
    url = f"http://{LOOPBACK}:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _metrics(port: int) -> dict[str, Any]:
    return {"type": "metrics", "port": port, "bind_addresses": [LOOPBACK]}


@contextlib.contextmanager
def ending(*processes: RuntimeProcess) -> Any:
    """Kills what a test leaves running."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
