"""Sends every kind of request through every proxy, round after round.

Proxies take turns within each kind, in another order each time, so that what else the machine does
falls on all of them; what is compared was measured in one round.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from e2e.bench.cost import load
from e2e.bench.cost.costs import AHEAD, AIM, Costs, Pair, rows
from e2e.bench.cost.load import KINDS
from e2e.bench.cost.proxies import OTHERS, Proxy, pinned
from e2e.bench.cost.started import (
    DIRECT,
    KEEPING,
    NGINX,
    NGINX_KEEPING,
    PLAIN,
    ROUTER,
    SILENT,
    TRAEFIK,
    everyone,
    haproxies,
)
from e2e.bench.table import Measurement
from e2e.cluster import debian
from e2e.cluster.progress import RigError, step

CONNECTIONS = 16
ENOUGH, SOME = 300, 30
"""How many requests it takes to say anything of processor time, and of latency.

On a machine that is busy a second may see none.
"""

TRIES = 60


def measure(rounds: int) -> Iterator[Measurement]:
    """Measure so many rounds; raises RigError if anything fails."""
    debian.install_missing({"wrk": "wrk"})
    wrk = shutil.which("wrk", path=debian.PATH)
    if not wrk:
        raise RigError("wrk is installed, but not on the PATH")
    costs = Costs()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with everyone(directory) as (proxies, server):
            sender = _Sender(Path(wrk), directory)
            for number in range(rounds):
                with step(f"round {number + 1} of {rounds}"):
                    _round(sender, proxies, server, costs)
            costs.memory = {each.name: each.memory() for each in proxies}
    kinds = [kind.name for kind in KINDS]
    yield from rows(costs, kinds=kinds, pairs=list(_pairs()), direct=DIRECT)


def _pairs() -> Iterator[Pair]:
    for version in haproxies():
        for silent in ("", SILENT):
            name = f"{ROUTER}, {version}{silent}"
            yield Pair(name, f"{PLAIN}, {version}{silent}", AIM)
        name = f"{ROUTER}, {version}"
        yield Pair(name, f"{KEEPING}, {version}", None)
        for other in (NGINX, NGINX_KEEPING, TRAEFIK):
            yield Pair(name, other, AHEAD)


class _Sender:
    """wrk, on another core than the proxies'."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._scripts = {}
        for number, kinds in enumerate([kind] for kind in KINDS):
            self._scripts[kinds[0].name] = directory / f"{number}.lua"
            self._scripts[kinds[0].name].write_text(load.script(kinds))
        self._mixed = directory / "mixed.lua"
        self._mixed.write_text(load.script(KINDS))

    def processor(self, proxy: Proxy, kind: str) -> float:
        """µs per request."""
        before, sent = proxy.processor(), 0
        for _ in range(TRIES):
            sent += self._send(proxy, self._scripts[kind], CONNECTIONS).requests
            if sent >= ENOUGH:
                return 1e6 * (proxy.processor() - before) / sent
        raise RigError(f"{proxy.name} answered {sent} requests in {TRIES} s")

    def latency(self, proxy: Proxy) -> tuple[float, float]:
        """Median and 99th percentile of all kinds in turn, one request at a time; in µs."""
        for _ in range(TRIES):
            sent = self._send(proxy, self._mixed, 1)
            if sent.requests >= SOME:
                return sent.median, sent.p99
        raise RigError(f"{proxy.name} answered fewer than {SOME} requests in every second")

    def _send(self, proxy: Proxy, script: Path, connections: int) -> load.Sent:
        with pinned(OTHERS):
            return load.send(self._program, proxy.port, script, connections=connections)


def _round(sender: _Sender, proxies: list[Proxy], server: Proxy, costs: Costs) -> None:
    for kind in KINDS:
        for proxy in random.sample(proxies, len(proxies)):
            spent = sender.processor(proxy, kind.name)
            costs.processor.setdefault((proxy.name, kind.name), []).append(spent)
    for proxy in random.sample([*proxies, server], len(proxies) + 1):
        median, p99 = sender.latency(proxy)
        costs.median.setdefault(proxy.name, []).append(median)
        costs.p99.setdefault(proxy.name, []).append(p99)
