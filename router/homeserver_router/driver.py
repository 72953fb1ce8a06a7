"""Brings the processes of HAProxy to where they shall be, and makes sure that they are there.

All of them: those that only finish what they have begun hold requests, too, and must hear of the
addresses at which these will be answered.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from homeserver_router import plan, pods
from homeserver_router.haproxy import HAProxy, HAProxyError, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from homeserver_router.metrics import Metrics
    from homeserver_router.plan import Servers

RELOAD_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.05


class Driver:
    """Every process of one HAProxy. Its methods raise HAProxyError."""

    def __init__(self, haproxy: HAProxy, metrics: Metrics) -> None:
        self._haproxy = haproxy
        self._metrics = metrics
        self._named: dict[int, Mapping[str, str]] = {}
        self._runs: dict[int, str] = {}

    async def runs(self) -> bool:
        """Whether there is a HAProxy at all."""
        try:
            return bool(await self._haproxy.workers())
        except HAProxyError:
            return False

    async def converge(self, servers: Servers, names: Mapping[str, str], config: str) -> str:
        """Give all processes these servers and names of pods; return which configuration runs.

        The process that runs `config` must have all of the servers.
        """
        workers = await self._haproxy.workers()
        self._forget_all_but({worker.pid for worker in workers})
        newest = next((worker for worker in workers if worker.current), None)
        if newest is None:
            raise HAProxyError("HAProxy has no process that serves")
        for worker in workers:
            try:
                observed = await self._steer(worker, servers)
                await self._name_pods(worker, names)
            except HAProxyError:
                # One that only finishes what it had may have ended just now.
                if worker.current:
                    raise
                continue
            if worker is newest and await self._running(worker) == config:
                lacking = plan.missing(observed, servers)
                if lacking:
                    raise HAProxyError(f"the configuration lacks {', '.join(lacking[:3])}")
        return await self._running(newest)

    async def reload(self, config: str) -> None:
        """Let a new process read the files; returns once it runs `config`."""
        deadline = time.monotonic() + RELOAD_SECONDS
        await self._haproxy.reload()
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
        number = pods.find(await self._haproxy.ask(worker.pid, "show map"))
        if number:
            live = pods.parse(await self._haproxy.ask(worker.pid, f"show map {number}"))
            commands = list(pods.commands(number, live, names))
            _insist(plan.refusals(await self._haproxy.tell(worker.pid, commands)))
        self._named[worker.pid] = dict(names)

    def _forget_all_but(self, alive: set[int]) -> None:
        self._named = {pid: names for pid, names in self._named.items() if pid in alive}
        self._runs = {pid: config for pid, config in self._runs.items() if pid in alive}


def _insist(undone: list[str]) -> None:
    if undone:
        raise HAProxyError(f"HAProxy did not do as told: {'; '.join(undone[:3])}")
