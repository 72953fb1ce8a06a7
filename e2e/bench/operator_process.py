"""The operator as a process of this machine, watched from outside: memory, metrics, log.

It has the packages that its image has, and no more: what a developer's environment holds beside
them would be imported, and measured, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.bench import processor
from e2e.bench.machine import REPOSITORY
from e2e.cluster import cache
from e2e.cluster.ports import free_port
from e2e.cluster.progress import RigError, run_logged, step, tail, wait_until

REQUIREMENTS = REPOSITORY / "operator" / "requirements.txt"
STARTS = 60.0
STOPS = 30.0


@dataclass(frozen=True)
class OperatorProcess:
    """One running operator."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def resident(self, field: str = "VmRSS") -> float:
        """Resident memory in MB; field VmHWM is the most there ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) / 1000

    def processor_seconds(self) -> float:
        """Processor time that it has used."""
        return processor.seconds(self.process.pid)

    def sample(self, metric: str, *labels: str) -> float:
        """The sum of a metric's series, with one of the labels if any are named.

        Raises RigError if the operator does not answer.
        """
        url = f"http://127.0.0.1:{self.port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                lines = answer.read().decode().splitlines()
        except urllib.error.URLError as error:
            raise RigError(f"the operator does not answer; its log:\n{tail(self.log)}") from error
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{metric}{{", f"{metric} "))
            and (not labels or any(label in line for label in labels))
        )

    def leads(self) -> bool:
        """Whether it holds the Lease."""
        return "leading as" in self.log.read_text()


@contextmanager
def operator(kubeconfig: Path, directory: Path) -> Iterator[OperatorProcess]:
    """Run the operator for all namespaces until the block ends; entered once it leads.

    Raises RigError with the end of its log if it does not come up.
    """
    python = _environment() / "bin" / "python"
    port = free_port()
    log = directory / f"operator-{port}.log"
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": "default",
        "SYNAPSE_IMAGE": "synapse:1",
        "POSTGRES_IMAGE": "postgres:1",
        "REDIS_IMAGE": "redis:1",
        "ROUTER_IMAGE": "router:1",
        "HTTP_PORT": str(port),
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "PATH": os.environ["PATH"],
        # As in the image.
        "MALLOC_ARENA_MAX": "2",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", "homeserver_operator"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = OperatorProcess(process, port, log)
    try:
        wait_until(
            running.leads,
            what="leadership of the operator",
            seconds=STARTS,
            log=log,
            alive=lambda: process.poll() is None,
        )
        yield running
    finally:
        _end(process)


def _environment() -> Path:
    """A virtual environment of the operator's image's packages, made once."""

    def make(directory: Path) -> None:
        venv = [sys.executable, "-m", "venv", str(directory)]
        pip = [f"{directory}/bin/python", "-m", "pip", "install", "--require-hashes"]
        title = "installing the operator's packages"
        log = cache.log_file("bench-operator")
        with step(title):
            run_logged(venv, title=title, log=log)
            run_logged([*pip, "-r", str(REQUIREMENTS)], title=title, log=log)

    return cache.artefact("bench-operator", cache.input_hash([REQUIREMENTS, sys.version]), make)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
