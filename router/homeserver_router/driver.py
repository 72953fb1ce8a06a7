"""Brings the processes of HAProxy to where they shall be, and makes sure that they are there.

One that only finishes what it has begun (after a reload, or in the end) gets all addresses, too:
else what it still holds would be lost when a pod moves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from homeserver_router import plan, pods
from homeserver_router.configuration import PODS
from homeserver_router.haproxy import RELOAD_SECONDS, HAProxy, HAProxyError, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from homeserver_router.metrics import Metrics
    from homeserver_router.plan import Servers

LOOK_SECONDS: Final = 0.05

log = logging.getLogger(__name__)


class Driver:
    """One HAProxy. Its methods raise HAProxyError."""

    def __init__(self, haproxy: HAProxy, metrics: Metrics) -> None:
        self._haproxy = haproxy
        self._metrics = metrics
        self._named: dict[int, Mapping[str, str] | None] = {}
        self._runs: dict[int, str] = {}

    async def runs(self) -> bool:
        """Whether there is a HAProxy at all."""
        try:
            return bool(await self._haproxy.workers())
        except HAProxyError:
            return False

    async def converge(self, servers: Servers, names: Mapping[str, str], config: str) -> str:
        """Set these servers and names of pods; return which configuration runs.

        If that is `config`, it must have all of the servers.
        """
        workers = await self._haproxy.workers()
        pids = {worker.pid for worker in workers}
        self._named = {pid: named for pid, named in self._named.items() if pid in pids}
        self._runs = {pid: run for pid, run in self._runs.items() if pid in pids}
        newest = next((worker for worker in workers if worker.current), None)
        if newest is None:
            raise HAProxyError("HAProxy has no process that serves")
        observed = await self._steer(newest, servers)
        await self._name_pods(newest, names)
        running = await self._running(newest)
        if running == config and (lacking := plan.missing(observed, servers)):
            raise HAProxyError(f"the configuration lacks {', '.join(lacking[:3])}")
        for worker in workers:
            if worker is not newest:
                await self._help_to_finish(worker, servers, names)
        return running

    async def _help_to_finish(
        self, worker: Worker, servers: Servers, names: Mapping[str, str]
    ) -> None:
        """What an old process still holds goes where the one that serves would send it."""
        try:
            await self._steer(worker, servers)
            await self._name_pods(worker, names)
        except HAProxyError as error:
            # It ends any moment.
            log.info("process %s of HAProxy, which finishes: %s", worker.pid, error)

    async def reload(self, config: str) -> None:
        """Let a new process read the files; returns once it runs `config`."""
        await self._haproxy.reload()
        deadline = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                for worker in await self._haproxy.workers():
                    if worker.current and await self._running(worker) == config:
                        return
            except HAProxyError:
                # The master starts itself anew, and is not there for a moment.
                continue
        raise HAProxyError(f"HAProxy does not start with {config}")

    async def _running(self, worker: Worker) -> str:
        if worker.pid not in self._runs:
            self._runs[worker.pid] = await self._haproxy.description(worker.pid)
        return self._runs[worker.pid]

    async def _steer(self, worker: Worker, servers: Servers) -> Servers:
        observed = await self._observe(worker)
        servers = plan.fitted(observed, servers)
        commands = list(plan.commands(observed, servers))
        if not commands:
            return observed
        said = await self._haproxy.tell(worker.pid, commands)
        self._metrics.commands.inc(len(commands))
        after = await self._observe(worker)
        left = list(plan.commands(after, servers))
        _insist(plan.refusals(said) or left)
        return after

    async def _observe(self, worker: Worker) -> Servers:
        answer = await self._haproxy.ask(worker.pid, "show servers state")
        try:
            return plan.parse_state(answer)
        except (ValueError, KeyError, IndexError) as error:
            raise HAProxyError(f"HAProxy does not tell its servers: {error!r}") from error

    async def _name_pods(self, worker: Worker, names: Mapping[str, str]) -> None:
        if self._named.get(worker.pid) == names:
            return
        number = pods.find(await self._haproxy.ask(worker.pid, "show map"), PODS)
        if number:
            live = pods.parse(await self._haproxy.ask(worker.pid, f"show map {number}"))
            commands = list(pods.commands(number, live, names))
            _insist(plan.refusals(await self._haproxy.tell(worker.pid, commands)))
        self._named[worker.pid] = dict(names)


def _insist(undone: list[str]) -> None:
    if undone:
        raise HAProxyError(f"HAProxy did not do as told: {'; '.join(undone[:3])}")
