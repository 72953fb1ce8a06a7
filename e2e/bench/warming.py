"""Starts real Synapse processes cold, and warm behind a fence that it holds; prints JSON.

Run with the runtime and its tests on PYTHONPATH: their PostgreSQL, Redis and processes are the ones
measured here. Arguments: runs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg2
import yaml
from tests.processes import RuntimeProcess, Site, ending
from tests.services import LOOPBACK, Postgres, postgres, redis_server, wait_until

from e2e.cluster.ports import free_port
from homeserver_runtime.fence.claim import Claim
from homeserver_runtime.fence.fence import Fence

EIGHT = ("main", "persister-0", "persister-1", *(f"worker-{index}" for index in range(5)))
STAGES = ("entered", "serving", "ready")

Times = dict[str, list[float]]


def main() -> None:
    """Print a list of seconds for each of the table's rows."""
    times: Times = {}
    with postgres() as server, redis_server() as redis:
        for number in range(int(sys.argv[1])):
            for names in (EIGHT[:1], EIGHT):
                database = f"bench_{number}_{len(names)}"
                server.create_database(database)
                with tempfile.TemporaryDirectory() as directory:
                    site = Site(
                        directory=Path(directory), postgres=server, redis=redis, database=database
                    )
                    _measure(site, names, times)
    print(json.dumps(times))


def _measure(site: Site, names: tuple[str, ...], times: Times) -> None:
    processes = _processes(site, names)
    which = "one process" if len(names) == 1 else f"{len(names)} processes at once"
    with ending(*processes):
        # The first start makes the schema, which is not to be measured.
        _start(processes)
        _stop(processes)
        began = time.time()
        _start(processes)
        last = max(_moment(process, "ready") for process in processes) - began
        times.setdefault(f"{which}, cold, exec → all ready", []).append(last)
        _stop(processes)
        # Of another epoch than theirs, and not of an earlier one than was ever entered.
        with _fence(site, epoch=2) as fence:
            for process in processes:
                _claim(process, epoch=3)
            for process in processes:
                process.start()
            for process in processes:
                wait_until(partial(_waits, process), what=f"{process.name} to be warm")
            opened = time.time()
            fence.leave()
        for process in processes:
            process.wait_ready()
        for stage in STAGES:
            seconds = [_moment(process, stage) - opened for process in processes]
            what = f"{which}, warm, fence open → {stage}"
            if len(seconds) == 1:
                times.setdefault(what, []).extend(seconds)
                continue
            times.setdefault(f"{what}, each", []).extend(seconds)
            times.setdefault(f"{what}, the last", []).append(max(seconds))
        _stop(processes)


def _processes(site: Site, names: tuple[str, ...]) -> list[RuntimeProcess]:
    writers = [name for name in names if not name.startswith("worker")]
    ports = {name: free_port() for name in writers}
    return [
        site.write(
            name,
            role="main" if name == "main" else "worker",
            replication_ports=ports,
            launcher={"fences": {"topology": 1}},
        )
        for name in names
    ]


@contextmanager
def _fence(site: Site, *, epoch: int) -> Iterator[Fence]:
    """What the processes of the next epoch wait for."""
    server: Postgres = site.postgres
    fence = Fence(
        Claim(name="bench", epochs={"topology": epoch}),
        lambda: psycopg2.connect(
            host=LOOPBACK,
            port=server.port,
            user="postgres",
            password=server.password,
            dbname=site.database,
            application_name="bench",
        ),
        waits_for=lambda _what: None,
        ends=lambda _why: None,
        yield_seconds=0,
    )
    fence.enter()
    try:
        yield fence
    finally:
        fence.leave()


def _claim(process: RuntimeProcess, *, epoch: int) -> None:
    path = process.directory / "launcher.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"fences": {"topology": epoch}}))


def _start(processes: list[RuntimeProcess]) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.wait_ready()


def _stop(processes: list[RuntimeProcess]) -> None:
    for process in processes:
        process.signal()
    for process in processes:
        process.wait()


def _waits(process: RuntimeProcess) -> bool:
    waiting_for = process.probe("/state")[1].get("waiting_for")
    return process.probe("/started")[0] == 200 and waiting_for is not None


def _moment(process: RuntimeProcess, stage: str) -> float:
    """When a process reached a stage, in Unix time."""
    state = process.probe("/state")[1]
    return float(state["started"] + state["seconds"][stage])


if __name__ == "__main__":
    main()
