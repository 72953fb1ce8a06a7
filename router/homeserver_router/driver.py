"""Brings the process of HAProxy that serves to where it shall be, and makes sure that it is there.

One that only finishes what it has begun (after a reload, or in the end) takes no new addresses:
what it still holds would be lost. So whoever lets HAProxy reload brings it up to date first.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from homeserver_router import plan, pods
from homeserver_router.configuration import PODS
from homeserver_router.haproxy import HAProxy, HAProxyError, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from homeserver_router.metrics import Metrics
    from homeserver_router.plan import Servers

RELOAD_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.05


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
        worker = await self._newest()
        observed = await self._steer(worker, servers)
        await self._name_pods(worker, names)
        running = await self._running(worker)
        if running == config and (lacking := plan.missing(observed, servers)):
            raise HAProxyError(f"the configuration lacks {', '.join(lacking[:3])}")
        return running

    async def _newest(self) -> Worker:
        """The process that serves; those that only finish take no commands for servers."""
        workers = await self._haproxy.workers()
        newest = next((worker for worker in workers if worker.current), None)
        if newest is None:
            raise HAProxyError("HAProxy has no process that serves")
        self._named = {newest.pid: self._named.get(newest.pid)}
        return newest

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
        number = pods.find(await self._haproxy.ask(worker.pid, "show map"), PODS)
        if number:
            live = pods.parse(await self._haproxy.ask(worker.pid, f"show map {number}"))
            commands = list(pods.commands(number, live, names))
            _insist(plan.refusals(await self._haproxy.tell(worker.pid, commands)))
        self._named[worker.pid] = dict(names)


def _insist(undone: list[str]) -> None:
    if undone:
        raise HAProxyError(f"HAProxy did not do as told: {'; '.join(undone[:3])}")
