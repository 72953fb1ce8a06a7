"""The time from Synapse's start to its stop: heartbeat, signals, and how a failed start is told.

Wires the parts together in the reactor; judges and drains nothing itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall

from homeserver_runtime import failure, synapse_start
from homeserver_runtime.drain import Drain
from homeserver_runtime.recovery import Recovery
from homeserver_runtime.replication import RedisWatch, observe, redis_answers

if TYPE_CHECKING:
    from homeserver_runtime.contract import Paths
    from homeserver_runtime.fence.peers import Peers
    from homeserver_runtime.probes import Judge
    from homeserver_runtime.signals import Signals
    from homeserver_runtime.sockets import Sockets
    from homeserver_runtime.state import State
    from homeserver_runtime.synapse_start import Prepared

logger = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 0.5
_STARTING_SECONDS = 0.05
"""Until it takes part in replication: whoever waits for this process waits for that."""


def serve(
    prepared: Prepared,
    state: State,
    judge: Judge,
    paths: Paths,
    *,
    signals: Signals,
    sockets: Sockets,
    peers: Peers | None,
    late_seconds: float,
) -> tuple[str, ...]:
    """Runs Synapse until a signal has ended it; a failed start ends the process in here.

    Returns the addresses to which clients are to be led who come late.
    """
    homeserver, settings = prepared.homeserver, prepared.config.redis
    reactor = homeserver.get_reactor()
    drain = Drain(
        homeserver,
        on_begin=lambda: state.change(phase="draining"),
        sockets=sockets,
        peers=peers,
        late_seconds=late_seconds,
    )
    if settings.redis_enabled:
        watch = RedisWatch(state, lambda: redis_answers(settings))
        judge.watch_redis(watch.cut_off_seconds)
        watch.start()

    recovery = Recovery(homeserver)

    def beat() -> None:
        state.beat(observe(homeserver))
        recovery.beat(state.now)
        if "ready" in state.now.reached:
            heart.interval = _HEARTBEAT_SECONDS

    heart = LoopingCall(beat)

    def reactor_runs() -> None:
        # Not earlier: until then there is nothing to drain.
        signals.handle(lambda: reactor.callFromThread(drain.terminate))

    def started() -> None:
        if state.now.phase != "draining":
            state.reach("serving", phase="serving")
        if not settings.redis_enabled:
            state.reach("ready")
        heart.start(_STARTING_SECONDS).addErrback(
            lambda reason: logger.critical("The heartbeat stopped: %s", reason)
        )

    def failed(error: Exception) -> None:
        code, message = failure.describe(error)
        failure.end_process(code, lambda: failure.report(message, paths.termination_log))

    reactor.callWhenRunning(reactor_runs)
    synapse_start.run(prepared, on_start=started, on_failure=failed)
    return drain.successors
