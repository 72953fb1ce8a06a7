"""The operator's memory and calm with many HomeServers, and how soon an edit takes effect then."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.bench.crowd import Crowd
from e2e.bench.operator_process import OperatorProcess, operator
from e2e.bench.table import Measurement
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import step

WATCHED = 60.0
"""Seconds for which the steady state is watched."""


def measure(homeservers: int) -> Iterator[Measurement]:
    """Measure with none, one and `homeservers` copies of the example."""
    with tempfile.TemporaryDirectory() as directory, ControlPlane(controller_manager=True) as plane:
        crowd = Crowd(plane)
        crowd.prepare()
        with operator(plane.kubeconfig, Path(directory)) as running:
            yield from _growing(crowd, running, homeservers)
            yield from _steady(crowd, running)
        yield from _restarted(crowd, Path(directory), homeservers)


def _growing(crowd: Crowd, running: OperatorProcess, homeservers: int) -> Iterator[Measurement]:
    before, used = 0, 0.0
    for count in (0, 1, homeservers):
        with step(f"{count} HomeServers"):
            if count > before:
                crowd.add(range(before, count))
            crowd.settle(running, count)
        yield Measurement(f"resident memory, {count} HomeServers", "MB", [running.resident()])
        used = used if count else running.processor_seconds()
        before = count
    most = [running.resident("VmHWM")]
    yield Measurement(f"most memory while {homeservers} were created", "MB", most)
    reconciles = running.sample("homeserver_operator_reconcile_total")
    used = (running.processor_seconds() - used) / reconciles
    yield Measurement("processor time for one reconcile, on average", "ms", [used * 1000])
    written = sum(1 for _ in crowd.writes()) / homeservers
    yield Measurement("writes for one HomeServer, created without nodes", "writes", [written])


def _steady(crowd: Crowd, running: OperatorProcess) -> Iterator[Measurement]:
    before, used = len([*crowd.writes()]), running.processor_seconds()
    with step(f"the steady state, for {WATCHED:.0f} s"):
        time.sleep(WATCHED)
    writes = len([*crowd.writes()]) - before
    yield Measurement(f"steady state, Lease aside, in {WATCHED:.0f} s", "writes", [writes])
    share = (running.processor_seconds() - used) / WATCHED
    yield Measurement("steady state, processor", "% of a core", [share * 100])


def _restarted(crowd: Crowd, directory: Path, homeservers: int) -> Iterator[Measurement]:
    before = len([*crowd.writes()])
    started = time.monotonic()
    with (
        step(f"a restart with {homeservers} HomeServers"),
        operator(crowd.control_plane.kubeconfig, directory) as running,
    ):
        yield Measurement("start until it leads", "s", [time.monotonic() - started])
        # In the midst of the first look at everybody.
        took = crowd.scale_sync(homeservers // 2, 3)
        yield Measurement("an edit right after the restart, until it is applied", "s", [took])
        crowd.settle(running, homeservers)
        resident = running.resident()
        yield Measurement("resident memory after the restart", "MB", [resident])
        took = crowd.scale_sync(homeservers // 3, 3)
        yield Measurement("an edit when all is calm, until it is applied", "s", [took])
        crowd.settle(running, homeservers)
    writes = len([*crowd.writes()]) - before
    yield Measurement("restart and two edits", "writes", [writes])
