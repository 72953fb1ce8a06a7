"""Runs one process of a homeserver from exec to exit.

Warm up, enter, run, drain: each step is another module's; their order, signals and exit codes are
this one's. What must happen between warm-up and entry has its place in `run`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import logging
import threading
import traceback
from typing import TYPE_CHECKING, Any

from homeserver_runtime import configuration, failure
from homeserver_runtime.contract import Launch, Paths
from homeserver_runtime.probes import Judge, ProbeServer
from homeserver_runtime.signals import Signals
from homeserver_runtime.sockets import Sockets
from homeserver_runtime.state import Snapshot, State, process_age

if TYPE_CHECKING:
    from collections.abc import Iterator

    from homeserver_runtime.fence.fence import Fence
    from homeserver_runtime.fence.reserve import Reserve

logger = logging.getLogger(__name__)

LINGER_SECONDS = 3.0
"""How long a drained process without a successor stays with its ports closed. Proxies learn within
one to two seconds where others are; until then the kernel here refuses them at once and they try
again, where the address of a pod that is gone would swallow them."""

STOP_SECONDS = 2.0
"""How long Synapse has to write what it writes when it stops. It waits for every query that still
runs, the making of an index for example, and all of the next epoch would wait with it."""


def run(
    paths: Paths, *, pod_name: str | None, pod_address: str | None, revision: str | None
) -> int:
    """Runs the process that `paths` describes; returns its exit code."""
    # Synapse switches the collector off and drives it itself once it runs; until then it would
    # only walk, again and again, over what imports leave behind.
    gc.disable()
    signals = Signals()
    signals.start()
    try:
        launch = Launch.read(paths.launcher_yaml, pod_name=pod_name, pod_address=pod_address)
        return _run(paths, signals, launch, revision=revision)
    except Exception as error:  # noqa: BLE001 - the last one up; nothing may leave unreported
        return _report(error, paths)


def _run(paths: Paths, signals: Signals, launch: Launch, *, revision: str | None) -> int:
    version = importlib.metadata.version("matrix-synapse")
    first = Snapshot(name=launch.name, role=launch.role, revision=revision, synapse=version)
    state = State(first, age=process_age())
    judge = Judge(state)
    ProbeServer(launch.probe_port, state, judge).start()

    configuration.write_pgpass(launch, paths)
    finished = configuration.write_finished(configuration.assemble(launch, paths), paths)

    # Synapse comes with these, and takes seconds; the probes answer meanwhile.
    from homeserver_runtime import (  # noqa: PLC0415
        fencing,
        metrics,
        relay,
        serving,
        shard_maps,
        synapse_start,
    )

    prepared = synapse_start.prepare(launch.role, finished)
    metrics.Collector(state).register()
    # What can be refused is refused before this process counts as warm: then others stop for it.
    state.change(shard_maps=shard_maps.shard_maps(prepared.config))
    found = synapse_start.await_database(prepared, state)
    reserve = fencing.prepare(prepared.config, launch) if launch.fences else None
    sockets = Sockets()
    sockets.bind(prepared.config)
    sockets.hand_over(prepared.homeserver.get_reactor())
    synapse_start.warm_up(prepared)
    state.reach("warm", warm=True)

    with _fenced(
        prepared.config, launch, state, paths, sockets,
        reserve=reserve, database_was_away=found.was_away,
    ) as fence:  # fmt: skip
        synapse_start.enter(prepared, state, signals, found=found)
        if fence:
            _bound_stop(prepared.homeserver.get_reactor(), fence)
        peers = fence.peers if fence else None
        successors = serving.serve(
            prepared, state, judge, paths,
            signals=signals, sockets=sockets, peers=peers, late_seconds=launch.late_seconds,
        )  # fmt: skip
    if state.now.phase != "draining":
        return failure.FAILED
    failure.farewell("drained and stopped as asked", state.now.document(), paths.termination_log)
    if not fence:
        # A successor would wait for the end of this process.
        return 0
    # Asked again, it ends at once.
    signals.handle(signals.end)
    if signals.count < 2 and successors:
        relay.relay(sockets.for_late_comers(), successors)
    elif signals.count < 2:
        threading.Event().wait(LINGER_SECONDS)
    return 0


def _bound_stop(reactor: Any, fence: Fence) -> None:
    """Has the fences given up, and with them every query, a while after the reactor stops."""

    def begin() -> None:
        timer = threading.Timer(STOP_SECONDS, fence.leave)
        timer.daemon = True
        timer.start()

    reactor.addSystemEventTrigger("before", "shutdown", begin)


@contextlib.contextmanager
def _fenced(
    config: Any,
    launch: Launch,
    state: State,
    paths: Paths,
    sockets: Sockets,
    *,
    reserve: Reserve | None,
    database_was_away: bool,
) -> Iterator[Fence | None]:
    """Holds the fences that `launch` names, if any; in a process that came too late, for ever."""
    if reserve is None:
        state.reach("entered")
        yield None
        return
    from homeserver_runtime import fencing  # noqa: PLC0415 - it brings psycopg2
    from homeserver_runtime.fence.fence import SupersededError  # noqa: PLC0415 - likewise

    def end(why: str) -> None:
        failure.end_process(failure.FAILED, lambda: failure.report(why, paths.termination_log))

    try:
        fence = fencing.enter(
            config, launch, state, ends=end, reserve=reserve, database_was_away=database_was_away
        )
    except SupersededError as error:
        # To end would only have the kubelet start it again; whoever made it takes it away.
        sockets.close()
        reserve.close()
        state.change(phase="superseded", superseded_by=(error.fence, error.epoch), waiting_for=None)
        failure.report(f"superseded: {error}", paths.termination_log)
        threading.Event().wait()
        raise
    try:
        yield fence
    finally:
        fence.leave()


def _report(error: Exception, paths: Paths) -> int:
    code, message = failure.describe(error)
    if code != failure.REFUSED:
        # The way to the error is for the log alone.
        if logging.getLogger().handlers:
            logger.error("The process failed", exc_info=error)
        else:
            traceback.print_exception(error)
    failure.report(message, paths.termination_log)
    return code
