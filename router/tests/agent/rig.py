"""A router on loopback: a real HAProxy, an agent beside it, and workers that say their names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp import web
from tests.agent.kube import HOMESERVER, TOKEN

from e2e.cluster.ports import free_port
from homeserver_router.agent import Agent
from homeserver_router.api import Api
from homeserver_router.endpoints import Address
from homeserver_router.haproxy import MASTER, HAProxy
from homeserver_router.metrics import Metrics
from homeserver_router.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

ROUTER = Path(__file__).parents[2]

CONFIG = """
global
    maxconn 2000
    hard-stop-after 40s
    default-path config
    log stdout format raw local0
defaults
    mode http
    log global
    timeout client 60s
    timeout server 60s
    timeout connect 200ms
    timeout queue 30s
    timeout http-request 10s
    timeout http-keep-alive 5s
    option abortonclose
    option http-server-close
    option redispatch 2
    retries 250
    retry-on conn-failure empty-response
frontend http
    bind 127.0.0.1:{port}
    http-request disable-l7-retry unless METH_GET
    option idle-close-on-response
    http-after-response set-header X-Pod %[var(txn.pod)]
    http-request set-header X-Version {version}
    use_backend main if {{ path_beg /main }}
    use_backend auth if {{ path_beg /auth }}
    default_backend sync
backend sync
    balance hash hdr(x-user)
    hash-type consistent sdbm avalanche
    http-response set-var(txn.pod) bc_dst,map(pods.map,unknown)
{servers}
    server main 127.0.0.1:9 backup disabled maxconn 50
backend main
    http-response set-var(txn.pod) bc_dst,map(pods.map,unknown)
    server s1 127.0.0.1:9 id 1 disabled
backend auth
    balance hash rand(1000)
    server s1 127.0.0.1:9 id 1 disabled
"""


async def until(condition: Callable[[], object], *, seconds: float = 15.0) -> float:
    """Wait for the condition; return how long it took."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of the outside have no event
            await asyncio.sleep(0.01)
    return time.monotonic() - started


async def becomes(condition: Callable[[], Awaitable[object]], *, seconds: float = 15.0) -> float:
    """Wait for a condition that has to be asked for; return how long it took."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - conditions of the outside have no event
            await asyncio.sleep(0.01)
    return time.monotonic() - started


def files(
    port: int, *, slots: int = 6, version: str = "1", auth: int | None = None, **fallback: Any
) -> dict[str, str]:
    """A configuration as the operator renders it, with two classes.

    `auth` is the port of somebody else's Service of this name, if it is to be followed.
    """
    servers = "\n".join(f"    server s{n} 127.0.0.1:9 id {n} disabled" for n in range(1, slots + 1))
    backends = {
        "sync": {"service": "alpha-sync", "slots": slots, "main": False, **fallback},
        "main": {"service": "alpha-main", "slots": 1, "main": True},
    }
    if auth:
        backends["auth"] = {"service": "auth", "port": auth, "slots": 1, "byName": True}
    return {
        "haproxy.cfg": CONFIG.format(port=port, servers=servers, version=version),
        "agent.json": json.dumps({"backends": backends}),
        "pods.map": "",
    }


class Worker:
    """A process at an address of its own that answers with its name; a poll takes `seconds`."""

    def __init__(self, name: str, address: Address, *, seconds: float = 0.02) -> None:
        self.name = name
        self.address = address
        self.seconds = seconds
        self.served = 0
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None

    def listen(self) -> None:
        """Only listen: what arrives is held, as by a process that is warm."""
        self._socket = socket.create_server(self.address, backlog=1024)

    async def start(self) -> Self:
        """Serve."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        if self._socket is None:
            self.listen()
        assert self._socket is not None
        await web.SockSite(self._runner, self._socket, backlog=1024).start()
        return self

    async def stop(self) -> None:
        """Finish what is in hand, then refuse."""
        if self._runner:
            await self._runner.cleanup()
        self._runner = self._socket = None

    async def _handle(self, request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(float(request.query.get("seconds", self.seconds)))
        self.served += 1
        return web.json_response({"worker": self.name, "version": request.headers["X-Version"]})


class Workers:
    """Workers on loopback addresses, one port for all; a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self.all: list[Worker] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self.all:
            await each.stop()

    def new(self, name: str) -> Worker:
        """One that does not listen yet."""
        number = len(self.all) + 1
        worker = Worker(name, Address(f"127.9.{number // 200}.{number % 200 + 1}", self.port))
        self.all.append(worker)
        return worker

    async def started(self, *names: str) -> list[Worker]:
        return [await self.new(name).start() for name in names]


def addresses(*workers: Worker) -> dict[str, Address]:
    return {each.name: each.address for each in workers}


class Router:
    """One pod of the router: HAProxy as its container starts it, and the agent."""

    def __init__(self, server: str, haproxy: Path, *, credentials: Path | None = None) -> None:
        self.port = free_port()
        # A socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="router-"))
        self.metrics = Metrics()
        self.log = self.folder / "haproxy.log"
        bin_ = self.folder / "bin"
        bin_.mkdir()
        (bin_ / "haproxy").symlink_to(haproxy)
        (self.folder / "token").write_text(TOKEN)
        self.run = self.folder / "run"
        self.run.mkdir()
        self._settings = Settings(
            namespace="chat",
            homeserver=HOMESERVER,
            pod="router-0",
            server=server,
            credentials=credentials or self.folder,
            directory=self.run,
            port=0,
        )
        self._path = f"{bin_}:{os.environ['PATH']}"
        self._stack = contextlib.AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.agent: Agent

    async def __aenter__(self) -> Self:
        os.environ["PATH"] = self._path
        await self.start_agent()
        self.start_haproxy()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_agent()
        if self.process:
            self.process.terminate()
            self.process.wait(10)
        shutil.rmtree(self.folder)

    async def start_agent(self) -> None:
        api = await self._stack.enter_async_context(Api(self._settings, self.metrics))
        self.agent = Agent(self._settings, api, self.metrics)
        self._task = asyncio.create_task(self.agent.run())

    async def stop_agent(self) -> None:
        """As if its container was killed."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._stack.aclose()

    async def agent_ends(self) -> None:
        assert self._task is not None
        async with asyncio.timeout(30):
            await self._task

    def start_haproxy(self) -> None:
        """Start the container of HAProxy."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "homeserver_router", "haproxy", f"--directory={self.run}"],
                env={**os.environ, "PYTHONPATH": str(ROUTER)},
                stdout=log,
                stderr=log,
            )

    def kill_haproxy(self, *, worker: bool = False) -> None:
        """Kill the master, as if its container was killed, or only the process that serves."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()]
        for pid in pids if worker else [*pids, self.process.pid]:
            os.kill(pid, signal.SIGKILL)
        # With its worker the master ends, too: the kubelet starts the container again.
        self.process.wait(10)

    @property
    def changes(self) -> int:
        """How many changes of endpoints HAProxy has been told."""
        count = "homeserver_router_follow_lag_seconds_count"
        return int(self.metrics.registry.get_sample_value(count) or 0)

    async def tell(self, command: str) -> str:
        """What the process that serves says to a command."""
        haproxy = HAProxy(self.run / MASTER)
        (pid,) = [worker.pid for worker in await haproxy.workers() if worker.current]
        return await haproxy.ask(pid, command)

    async def connections(self) -> int:
        """How many clients the process that serves has."""
        found = re.search(r"^CurrConns: (\d+)$", await self.tell("show info"), re.MULTILINE)
        assert found
        return int(found[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Load:
    """An open loop of requests, half of them POSTs; each goes to the first router that takes it."""

    urls: list[str]
    rate: float = 50
    begun: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    workers: dict[str, set[str]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Send until the block ends, then wait for all answers."""
        # Shorter than HAProxy keeps a connection, or one is used just when that closes it.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3)
        timeout = aiohttp.ClientTimeout(total=50)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            over = asyncio.Event()
            task = asyncio.create_task(self._send(session, over))
            try:
                yield self
            finally:
                over.set()
                await task

    async def _send(self, session: aiohttp.ClientSession, over: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        async with asyncio.TaskGroup() as group:
            while not over.is_set():
                group.create_task(self._request(session, self.begun))
                self.begun += 1
                await asyncio.sleep(max(0.0, started + self.begun / self.rate - clock()))

    async def _request(self, session: aiohttp.ClientSession, number: int) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        method = ("GET", "POST")[number % 2]
        user = f"user-{number % 25}"
        for url in self.urls:
            try:
                async with session.request(
                    method, f"{url}/sync", headers={"X-User": user}, data=b"x" * (number % 2)
                ) as response:
                    text = await response.text()
                    if response.status == 200:
                        self.workers.setdefault(user, set()).add(json.loads(text)["worker"])
                    else:
                        self.failures.append(f"{method} {response.status} {text[:80]}")
                    break
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failures.append(f"{method} {error!r}")
                break
        else:
            self.failures.append(f"{method}: nobody takes it")
        self.latencies.append(clock() - started)

    @property
    def sent(self) -> int:
        """How many have got an answer, or none for good."""
        return len(self.latencies)


async def ask(url: str, user: str = "a", path: str = "/sync") -> tuple[int, Mapping[str, Any]]:
    """One request's status, and what the worker and the router said; 0: nobody listens."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url + path, headers={"X-User": user}) as response,
        ):
            text = await response.text()
            said = json.loads(text) if response.status == 200 else {}
            return response.status, {**said, "pod": response.headers.get("X-Pod")}
    except aiohttp.ClientError:
        return 0, {}


async def shares(url: str, keys: int = 60) -> dict[str, str]:
    """Which worker each of some users is sent to."""
    users = [f"user-{number}" for number in range(keys)]
    answers = await asyncio.gather(*(ask(url, user) for user in users))
    return {user: said.get("worker", "") for user, (_, said) in zip(users, answers, strict=True)}
