"""Real processes of one homeserver, cold, and warm behind a fence that is held here.

For modules that run with the runtime and its tests on PYTHONPATH: their PostgreSQL, Redis and
processes are the ones measured. Measures nothing itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import yaml
from tests.held import Held
from tests.processes import RuntimeProcess, Site, ending
from tests.services import Postgres, Redis, wait_until

from homeserver_runtime.fence.fence import Fence

MAIN: Final = "main"
READERS: Final = ("worker-0", "worker-1")
EIGHT: Final = (MAIN, "persister-0", "persister-1", *(f"worker-{index}" for index in range(5)))

_POOL: Final = {"database": {"args": {"cp_min": 5, "cp_max": 10}}}
"""As the operator has it where nothing else is wanted."""


@contextmanager
def homeserver(
    server: Postgres, redis: Redis, database: str, names: Sequence[str]
) -> Iterator[tuple[Site, list[RuntimeProcess]]]:
    """Processes that have run once, so that the schema is there; ended in the end."""
    server.create_database(database)
    with tempfile.TemporaryDirectory() as directory:
        site = Site(directory=Path(directory), postgres=server, redis=redis, database=database)
        processes = site.write_fenced(*names, settings=_POOL)
        with ending(*processes):
            start(processes)
            yield site, processes


def start(processes: Sequence[RuntimeProcess]) -> None:
    """Start all and wait until they are ready."""
    for process in processes:
        process.start()
    for process in processes:
        process.wait_ready()


def stop(processes: Sequence[RuntimeProcess]) -> None:
    """Ask all to stop and wait until they have."""
    for process in processes:
        process.signal()
    for process in processes:
        process.wait()


@contextmanager
def warm(site: Site, processes: Sequence[RuntimeProcess], *, epoch: int) -> Iterator[Fence]:
    """All of them wait, warm, for whoever has this epoch to leave; they are of the next."""
    held = Held(site.postgres, site.database, "bench", topology=epoch).enter()
    try:
        for process in processes:
            _claim(process, epoch=epoch + 1)
            process.start()
        for process in processes:
            wait_until(partial(_waits, process), what=f"{process.name} to be warm")
        yield held.fence
    finally:
        held.fence.leave()


def moment(process: RuntimeProcess, stage: str) -> float:
    """When a process reached a stage, in Unix time."""
    state = process.probe("/state")[1]
    return float(state["started"] + state["seconds"][stage])


def _claim(process: RuntimeProcess, *, epoch: int) -> None:
    path = process.directory / "launcher.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"fences": {"topology": epoch}}))


def _waits(process: RuntimeProcess) -> bool:
    waiting_for = process.probe("/state")[1].get("waiting_for")
    return process.probe("/started")[0] == 200 and waiting_for is not None
