"""A full restart of eight processes as clients see it through the Ingress, beside other ways.

An open loop of requests flows through all of it, at about half of what the machine was seen to
sustain just before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from e2e.bench.machine import load
from e2e.bench.noticed import CLASSES, Report, Seen, notice, rows
from e2e.bench.rig import attempt, installed
from e2e.bench.table import Measurement
from e2e.cluster.api import Cluster
from e2e.cluster.progress import RigError, say, step
from e2e.product.homeserver import RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.installation import Installation
from e2e.product.kube import Object
from e2e.product.load import RATES, calm_down, quiet, ramp
from e2e.product.mix import KINDS
from e2e.product.people import together
from e2e.product.restarting import Restarts
from e2e.product.traffic import Traffic
from e2e.product.undergoing import aftermath, undergo

RESOURCE: Final = Path(__file__).with_name("downtime.yaml")
PROCESSES = 8
USERS = 4
STARTS = 600

QUIET = 30.0
ENOUGH = 1080.0
"""Seconds of rounds after which what the switch is held against is left out."""

SWITCH = "switch (new epoch)"
ROLLOUT = "rollout restart"
NAIVE = "stop all, start all, no operator"
ALONE = "rollout restart, no operator"
AIMS: Final = {SWITCH: 3.0}


@dataclass(frozen=True)
class Way:
    """One way to restart everybody."""

    title: str
    restart: Callable[[], None]
    without_operator: bool = False


def measure(cluster: Cluster, rounds: int) -> Iterator[Measurement]:
    """Measure all ways in turn, `rounds` times.

    Except for what Kubernetes does alone, which does not end: once; and when time is up, the switch
    alone goes on. What was measured before something failed is told, too.
    """
    report = Report()
    with installed(cluster, "bench-downtime") as installation:
        server = RunningHomeServer(installation, resource())

        def watch() -> None:
            _set_up(installation, server)
            asyncio.run(_observe(server, rounds, report))

        failed = attempt(server, watch)
    yield from rows(report, AIMS, beside=(SWITCH, NAIVE))
    if failed:
        raise failed


def resource() -> Object:
    """The homeserver that is restarted."""
    document: Object = yaml.safe_load(RESOURCE.read_text())
    return document


def _set_up(installation: Installation, server: RunningHomeServer) -> None:
    with step("the homeserver"):
        server.apply(server.resource)
        installation.wait_ready(server.name, seconds=STARTS)
        wait_answering(installation.cluster.ingress, server.host)
    if (found := Restarts(server).processes()) != PROCESSES:
        raise RigError(f"{RESOURCE.name} makes {found} processes, not {PROCESSES}")


async def _observe(server: RunningHomeServer, rounds: int, report: Report) -> None:
    async with (
        together(server, "bench", USERS) as (users, room),
        Traffic(users, room, KINDS).flow(RATES[0]) as traffic,
    ):
        # Controllers may not know all of the routes yet.
        await calm_down(traffic, {})
        report.sustained = await ramp(traffic)
        report.rate = traffic.per_second
        await calm_down(traffic, {})
        report.quiet, report.load = await quiet(traffic, QUIET, CLASSES), load()
        await _all_rounds(Restarts(server), rounds, traffic, report)


async def _all_rounds(restarts: Restarts, rounds: int, traffic: Traffic, report: Report) -> None:
    switch = Way(SWITCH, restarts.switch)
    others = (
        Way(ROLLOUT, restarts.rollout),
        Way(NAIVE, restarts.naive, without_operator=True),
    )
    began = time.monotonic()
    for number in range(rounds):
        enough = number and time.monotonic() - began > ENOUGH
        for way in (switch, *(() if enough else others)):
            say(f"  round {number + 1} of {rounds}, {way.title}, load {load():.1f}")
            await _one(way, restarts, traffic, report)
    # Last, because what it leaves behind must not be measured with the others.
    say(f"  once, {ALONE}, load {load():.1f}")
    await _one(Way(ALONE, restarts.alone, without_operator=True), restarts, traffic, report)


async def _one(way: Way, restarts: Restarts, traffic: Traffic, report: Report) -> None:
    """Restart once and note what was noticed; all is calm when it returns."""
    usual = report.usual
    async with _operator_away(restarts) if way.without_operator else nullcontext():
        await calm_down(traffic, usual)
        span, during = await undergo(way.restart), load()
    await asyncio.to_thread(restarts.wait_alone)
    outcomes = await aftermath(span, traffic, usual)
    seen = Seen(span.seconds, notice(outcomes, span, usual), during)
    report.seen.setdefault(way.title, []).append(seen)
    say(f"    begin to end {span.seconds:.1f} s")
    for name, noticed in seen.noticed.items():
        say(f"    {name}: {noticed}")


@asynccontextmanager
async def _operator_away(restarts: Restarts) -> AsyncIterator[None]:
    """Without the operator until the block ends; afterwards it has put right what it found."""
    try:
        # Without it, a namespace that is taken away would leave what only it takes away.
        await asyncio.to_thread(restarts.stop_operator)
        yield
    finally:
        await asyncio.to_thread(restarts.start_operator)
