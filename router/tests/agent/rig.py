"""A router on loopback: a real HAProxy and an agent beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.agent.kube import HOMESERVER, TOKEN

from e2e.cluster.ports import free_port
from homeserver_router.agent import Agent
from homeserver_router.api import Api
from homeserver_router.haproxy import MASTER, HAProxy
from homeserver_router.metrics import Metrics
from homeserver_router.settings import Settings

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
