"""Full restarts of one homeserver behind several fronts, under the same load, in one run.

Through the router, through the Ingress alone, and through an HAProxy with ordinary health checks:
the operator's own restart, and `kubectl rollout restart`. All of them are reached through the same
Ingress controller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from e2e.bench.compared import Report, rows, see
from e2e.bench.machine import load
from e2e.bench.rig import attempt, installed
from e2e.bench.table import Measurement
from e2e.cluster.api import Cluster
from e2e.cluster.progress import say, step
from e2e.product.abroad import abroad
from e2e.product.homeserver import RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.kube import Object
from e2e.product.load import RATES, calm_down, quiet, ramp, usual
from e2e.product.mix import EVERY_KIND, POLLS
from e2e.product.ordinary import Ordinary
from e2e.product.people import together
from e2e.product.restarting import Restarts
from e2e.product.router import RunningRouter, resource
from e2e.product.talk import history
from e2e.product.traffic import Traffic
from e2e.product.undergoing import aftermath, undergo

USERS = 3
STARTS = 600
QUIET = 20.0

ROUTER, INGRESS, ORDINARY = "router", "Ingress alone", "HAProxy with health checks"
PLANNED, ROLLOUT = "planned restart", "kubectl rollout restart"
WAYS: Final = {ROUTER: (PLANNED, ROLLOUT), INGRESS: (PLANNED, ROLLOUT), ORDINARY: (PLANNED,)}
"""How the homeserver is restarted behind each front. The planned one is of its persisters."""


def title(front: str, way: str) -> str:
    """What a way behind a front is called in the table."""
    return f"{front}, {way}"


PROMISED: Final = frozenset(title(ROUTER, way) for way in WAYS[ROUTER])


def measure(cluster: Cluster, rounds: int) -> Iterator[Measurement]:
    """Measure all fronts in turn, `rounds` times; what came before a failure is told, too."""
    report = Report()
    with installed(cluster, "bench-fronts") as installation:
        server = RunningHomeServer(installation, resource())

        def watch() -> None:
            fronts = Fronts(server)
            with step("the homeserver"):
                server.apply(server.resource)
                installation.wait_ready(server.name, seconds=STARTS)
                fronts.all()[0].make()
            asyncio.run(_observe(fronts, rounds, report))

        failed = attempt(server, watch)
    yield from rows(report, PROMISED)
    if failed:
        raise failed


@dataclass(frozen=True)
class Front:
    """One way in: its title, the host that leads to it, and how it is made and taken away."""

    title: str
    host: str
    make: Callable[[], None]
    take_away: Callable[[], None] = lambda: None


class Fronts:
    """What can stand before one homeserver, which has its router at first."""

    def __init__(self, server: RunningHomeServer) -> None:
        self.server = server
        self.restarts = Restarts(server)
        self._router = RunningRouter(server)
        self._settings: Object = server.resource["spec"]["router"]

    def all(self) -> Sequence[Front]:
        """Each of them; what one leaves of the router, the next finds."""
        host, ordinary = self.server.host, Ordinary(self.server)

        def past_the_router() -> None:
            self._without_router()
            ordinary.start()

        return (
            Front(ROUTER, host, self._with_router),
            Front(INGRESS, host, self._without_router),
            Front(ORDINARY, ordinary.host, past_the_router, ordinary.stop),
        )

    def restart(self, way: str) -> None:
        """Restart everybody, in one of the ways."""
        if way == PLANNED:
            self.restarts.switch()
        else:
            self.restarts.rollout()

    def _with_router(self) -> None:
        self._change(lambda spec: spec.update(router=self._settings))
        self._router.wait_settled()
        self._router.wait_leading(True)
        self._answers()

    def _without_router(self) -> None:
        self._change(lambda spec: spec.pop("router", None))
        self._router.wait_leading(False)
        self._router.wait_none()
        self._answers()

    def _change(self, edit: Callable[[Object], object]) -> None:
        self.server.apply(self.server.edited(edit))
        self.restarts.wait_ready()

    def _answers(self) -> None:
        wait_answering(self.server.installation.cluster.ingress, self.server.host)


async def _observe(fronts: Fronts, rounds: int, report: Report) -> None:
    async with (
        together(fronts.server, "bench", USERS) as (users, room),
        abroad(fronts.server) as other,
    ):
        traffic = Traffic(users, room, EVERY_KIND, POLLS, other=other)
        async with traffic.flow(RATES[0]):
            await calm_down(traffic, {})
            report.sustained = await ramp(traffic)
            report.rate, report.load = traffic.per_second, load()
            for number in range(rounds):
                for front in fronts.all():
                    say(f"  round {number + 1} of {rounds}, {front.title}, load {load():.1f}")
                    await _behind(front, fronts, traffic, report)
        report.kept = [heard.text for heard in await history(users[0], room)]


async def _behind(front: Front, fronts: Fronts, traffic: Traffic, report: Report) -> None:
    """Restart in each of the ways behind one front."""
    await asyncio.to_thread(front.make)
    _come_in(traffic, front.host)
    try:
        await calm_down(traffic, {})
        baseline = await quiet(traffic, QUIET, [*EVERY_KIND, *POLLS])
        report.quiet.setdefault(front.title, []).extend(baseline)
        for way in WAYS[front.title]:
            said = len(traffic.acknowledged)
            span, during = await undergo(partial(fronts.restart, way)), load()
            await asyncio.to_thread(fronts.restarts.wait_alone)
            outcomes = await aftermath(span, traffic, usual(baseline))
            seen = see(outcomes, span, baseline, traffic.acknowledged[said:], during)
            report.seen.setdefault(title(front.title, way), []).append(seen)
            say(f"    {way}: {seen}")
    finally:
        _come_in(traffic, fronts.server.host)
        await asyncio.to_thread(front.take_away)


def _come_in(traffic: Traffic, host: str) -> None:
    """From now on, all requests go to a host."""
    for asks in filter(None, (*traffic.users, traffic.other)):
        asks.host = host
