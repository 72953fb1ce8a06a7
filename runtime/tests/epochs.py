"""All processes of a homeserver in one epoch, and what they say of their end."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from tests.services import wait_until

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.processes import RuntimeProcess, Site


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epoch:
    """The three processes of an epoch, on ports of their own."""

    main: RuntimeProcess
    persister: RuntimeProcess
    worker: RuntimeProcess

    def __iter__(self) -> Iterator[RuntimeProcess]:
        yield from (self.main, self.persister, self.worker)

    def start(self) -> None:
        for process in self:
            process.start()

    def wait_ready(self) -> None:
        for process in self:
            process.wait_ready()


def write_epoch(
    site: Site, epoch: int, *, serves: Sequence[str] = ("client",), late_seconds: float = 0
) -> Epoch:
    """Their files; `serves` is what the worker does."""
    directory = site.directory / f"epoch-{epoch}"
    directory.mkdir()
    own = dataclasses.replace(site, directory=directory)
    ports = {"main": free_port(), "persister-0": free_port()}
    launcher = {"fences": {"topology": epoch}, "late_seconds": late_seconds}
    return Epoch(
        main=own.write("main", role="main", launcher=launcher, replication_ports=ports),
        persister=own.write("persister-0", launcher=launcher, replication_ports=ports),
        worker=own.write("generic-0", launcher=launcher, replication_ports=ports, serves=serves),
    )


def wait_waiting(process: RuntimeProcess) -> None:
    """Returns when a process waits for one of the epoch before, by that one's name."""
    old = ("main ", "persister-0 ", "generic-0 ")
    wait_until(
        lambda: (process.probe("/state")[1].get("waiting_for") or "").startswith(old),
        what=f"{process.name} to wait for the old ones",
    )


def drain_seconds(process: RuntimeProcess) -> float:
    """How long its drain took by its own word."""
    match = re.search(r"Drained in ([\d.]+) s", process.log)
    assert match, process.log[-2000:]
    return float(match[1])


def main_of_epoch(
    site: Site, directory: str, epoch: int, *, settings: Mapping[str, Any] | None = None
) -> RuntimeProcess:
    """A main process with files of its own, as a pod of another revision has them."""
    (site.directory / directory).mkdir()
    own = type(site)(
        directory=site.directory / directory,
        postgres=site.postgres,
        redis=site.redis,
        database=site.database,
    )
    return own.write(
        "main", role="main", settings=settings, launcher={"fences": {"topology": epoch}}
    )
