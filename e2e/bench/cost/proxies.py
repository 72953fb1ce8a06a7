"""Runs proxies, each with its configuration in a directory of its own, and reads what they use."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from e2e.bench.cost.configurations import HOST, LOOPBACK
from e2e.bench.processor import tree
from e2e.cluster.progress import RigError

PATIENCE = 60.0
PROXIES, OTHERS = 0, -1
"""Which of the cores: proxies have one, and whoever asks and answers has another if there is."""


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs. `name` is what the table calls it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def processor(self) -> float:
        """Seconds for which it has had a processor, in user's and kernel's mode."""
        return sum(map(_nanoseconds, tree(self.process.pid))) / 1e9

    def memory(self) -> float:
        """MiB that are resident, its processes together; what they share counts each time."""
        return sum(map(_resident, tree(self.process.pid))) / 1024


def core(which: int) -> int:
    """One of the cores that we may use."""
    return sorted(os.sched_getaffinity(0))[which]


@contextmanager
def pinned(which: int) -> Iterator[None]:
    """What is started in the block has this core."""
    before = os.sched_getaffinity(0)
    chosen = core(which)
    os.sched_setaffinity(0, {chosen})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(
    name: str,
    command: Callable[[Path], list[str | Path]],
    files: Mapping[str, str],
    directory: Path,
    port: int,
    *,
    which: int = PROXIES,
) -> Iterator[Proxy]:
    """A program with these files until the end of the block; raises RigError if it does not start.

    Its standard output, which is its log, is read by somebody else, as in a cluster.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (directory / file).write_text(text)
    with pinned(OTHERS):
        sink = subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    errors = directory / "errors"
    with pinned(which), errors.open("wb") as output:
        process = subprocess.Popen(
            command(directory), stdout=sink.stdin, stderr=output, cwd=directory
        )
    assert sink.stdin
    sink.stdin.close()
    try:
        _until_answering(port, process, errors)
        yield Proxy(name, port, process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        sink.wait(10)


def _until_answering(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    """Wait until requests are led to a server: some listen before they know where to."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE)
            with closing(connection):
                connection.request("GET", "/_matrix/client/versions", headers={"Host": HOST})
                if connection.getresponse().status == HTTPStatus.OK:
                    return
        time.sleep(0.05)
    raise RigError(f"{process.args!r} does not answer:\n{errors.read_text()[-4000:]}")


def _nanoseconds(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def _resident(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
