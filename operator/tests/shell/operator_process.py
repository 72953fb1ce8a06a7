"""Runs the operator as a process of its own, as the container does."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.cluster.ports import free_port

OPERATOR = Path(__file__).parents[2]


class OperatorProcess:
    """One running operator."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self._port = port
        self._log = log

    def logged(self) -> list[dict[str, Any]]:
        """What it has logged so far; fails if a line is no JSON."""
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def says(self, words: str) -> bool:
        return any(words in line["message"] for line in self.logged())

    def http(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def sample(self, series: str) -> float:
        """The value of a series, written as in the exposition; 0 if it is not there."""
        for line in self.http("/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return 0.0

    def resident(self) -> int:
        """Resident memory in kB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def operator(directory: Path, kubeconfig: Path, **environment: str) -> Iterator[OperatorProcess]:
    """Start an operator that logs into the directory, and end it."""
    port = free_port()
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": "default",
        "SYNAPSE_IMAGE": "synapse:1",
        "POSTGRES_IMAGE": "postgres:1",
        "REDIS_IMAGE": "redis:1",
        "ROUTER_IMAGE": "router:1",
        "HTTP_PORT": str(port),
        # As in the image.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONPATH": str(OPERATOR),
        "PATH": os.environ["PATH"],
        **environment,
    }
    log = directory / f"operator-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "homeserver_operator"],
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield OperatorProcess(process, port, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
