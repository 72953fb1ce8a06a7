"""The parts put together: wait for the Lease, then watch, queue and reconcile until told to stop.

Crash-only: a part that ends ends the process, and a new one goes on from what it observes. On the
way out the running reconciles finish first, then the Lease is released.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from homeserver_operator import crd
from homeserver_operator.api.kinds import MANAGED_KINDS
from homeserver_operator.cluster import Cluster
from homeserver_operator.config import Settings
from homeserver_operator.handlers import HomeServerWatch
from homeserver_operator.health import HealthServer
from homeserver_operator.host_claims import HostClaims
from homeserver_operator.leader import Leader
from homeserver_operator.metrics import Metrics
from homeserver_operator.queue import Queue
from homeserver_operator.reconcile import Reconciler
from homeserver_operator.schedule import Rules
from homeserver_operator.states import States
from homeserver_operator.transport import Transport
from homeserver_operator.watch import ChildWatch
from homeserver_operator.watched import Watched

FINISH: Final = 15.0
"""Seconds that running reconciles get to end; the pod's grace period must be longer."""

SYNC: Final = 30.0
"""Seconds to wait for all watches to begin; without one of them the resync still works."""

log = logging.getLogger(__name__)


async def operate(settings: Settings, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set; raises whatever ends it before."""
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        transport = await Transport.connect(settings.kubeconfig, metrics)
        stack.push_async_callback(transport.close)
        cluster = Cluster(transport)
        leader = Leader(
            cluster,
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=f"{settings.identity}_{secrets.token_hex(4)}",
            clock=time.monotonic,
            metrics=metrics,
        )
        host_claims = HostClaims(wake=lambda key: queue.add(key))  # noqa: PLW0108 - the queue comes after
        reconciler = Reconciler(
            cluster=cluster.guarded(leader.guard),
            states=await stack.enter_async_context(States(time.monotonic)),
            defaults=settings.defaults,
            metrics=metrics,
            now=_now,
            host_claims=host_claims,
        )
        queue = Queue(
            reconciler,
            metrics,
            concurrency=settings.concurrency,
            rules=Rules(resync=settings.resync),
        )
        # A process that waits is alive, and ready only once it could take over.
        able, watched = asyncio.Event(), Watched(settings.namespaces, metrics)
        health = HealthServer(
            metrics,
            live=queue.stuck,
            ready=lambda: watched.trouble() if able.is_set() else "waiting for the API server",
            port=settings.http_port,
        )
        stack.push_async_callback(health.close)
        await health.start()
        if not await _unless(stop, crd.check(cluster)):
            return
        able.set()
        if await _unless(stop, leader.acquire()):
            stack.push_async_callback(leader.release)
            await _lead(
                settings,
                stop,
                cluster=cluster,
                leader=leader,
                host_claims=host_claims,
                queue=queue,
                watched=watched,
                metrics=metrics,
            )


async def _lead(
    settings: Settings,
    stop: asyncio.Event,
    *,
    cluster: Cluster,
    leader: Leader,
    host_claims: HostClaims,
    queue: Queue,
    watched: Watched,
    metrics: Metrics,
) -> None:
    """Watch and reconcile until `stop` is set or a part ends; raises what ended it."""
    watched.expect()
    children = [
        ChildWatch(cluster, kind, namespace, wake=queue.add, missed=queue.add_all, metrics=metrics)
        for kind in MANAGED_KINDS
        if kind.watched
        for namespace in settings.namespaces or (None,)
    ]
    homeservers = HomeServerWatch(
        wake=lambda key, fresh: queue.add(key, fresh=fresh),
        credentials=cluster.credentials,
        namespaces=settings.namespaces,
        watched=watched,
    )

    async def watch_homeservers() -> None:
        await _synced(children)
        await homeservers.run()

    async def reconcile() -> None:
        # Before anybody is let have a host, it must be known whose it is.
        await host_claims.learn(cluster, settings.namespaces)
        await queue.run()

    async with _background(leader.hold(), reconcile()) as working:
        watching = _background(*(child.run() for child in children), watch_homeservers())
        async with watching as seeing:
            stopped = asyncio.create_task(stop.wait())
            parts = {*working, *seeing, stopped}
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        # Nothing wakes the queue any more; the Lease is still renewed while it empties its hands.
        await queue.close(FINISH)
    for task in done - {stopped}:
        task.result()


async def _synced(children: Iterable[ChildWatch]) -> None:
    try:
        async with asyncio.timeout(SYNC):
            for child in children:
                await child.synced.wait()
    except TimeoutError:
        log.warning("not all watches began within %.0f s; going on with the others", SYNC)


@contextlib.asynccontextmanager
async def _background(*parts: Coroutine[Any, Any, None]) -> Any:
    """Run the parts as tasks, and end with all of them cancelled and finished."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _unless(stop: asyncio.Event, awaited: Coroutine[Any, Any, None]) -> bool:
    """Await it, unless `stop` is set first; tell whether it came to its end."""
    async with _background(awaited) as [task]:
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            return False
        task.result()
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
