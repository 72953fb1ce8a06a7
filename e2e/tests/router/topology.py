"""The homeserver with its router, and people who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from e2e.product import direct
from e2e.product.direct import FORWARDED, Reply
from e2e.product.homeserver import GROUP_LABEL, RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.installation import Installation
from e2e.product.kube import Object, eventually
from e2e.product.matrix import User
from e2e.product.people import newcomer
from e2e.product.restarting import Restarts
from e2e.product.router import PORT, Access, RunningRouter, resource

STARTS = 600.0


@dataclass(frozen=True)
class Routed:
    """The homeserver and its router."""

    server: RunningHomeServer
    router: RunningRouter

    @property
    def ingress(self) -> str:
        """Where people come in."""
        return self.server.installation.cluster.ingress

    def change(self, edit: Callable[[Object], None]) -> None:
        """Edit the spec, and wait until all of it has taken effect."""
        self.server.apply(self.server.edited(edit))
        self.settle()

    def settle(self) -> None:
        """Wait until everything is as the spec has it, and nobody is left of before."""
        self.server.wait_ready(seconds=STARTS)
        self.router.wait_settled()
        Restarts(self.server).wait_alone()

    def workers(self, group: str) -> set[str]:
        """The names of a worker group's pods."""
        selector = f"homeserver-operator.io/homeserver={self.server.name},{GROUP_LABEL}={group}"
        pods = self.server.kube.list("pods", selector)
        return {p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"]}

    def ask(self, address: str, method: str, target: str, source: str, token: str = "") -> Reply:
        """A request to one router, as the controller would pass it on for a client at `source`."""
        headers = {FORWARDED: source}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return direct.ask(address, self.server.host, method, target, headers, port=PORT)

    def logged(self, router: str, sources: set[str]) -> dict[str, Access]:
        """What a router logged for each of these sources, once all of it is there."""
        found: dict[str, Access] = {}

        def missing() -> set[str]:
            seen = (access for access in self.router.access()[router] if access.source in sources)
            found.update((access.source, access) for access in seen)
            return sources - found.keys()

        eventually(
            missing, lambda left: not left, what=f"no source without a log of {router}", seconds=60
        )
        return found

    @asynccontextmanager
    async def person(self, name: str) -> AsyncIterator[User]:
        """A new user, logged in."""
        async with newcomer(self.server, name) as user:
            yield user


def bring_up(installation: Installation) -> Routed:
    """Make it and wait until it answers through the Ingress."""
    server = RunningHomeServer(installation, resource())
    routed = Routed(server, RunningRouter(server))
    server.apply(server.resource)
    routed.settle()
    wait_answering(routed.ingress, server.host)
    return routed


def take_away(routed: Routed) -> None:
    """Remove all of it, data included."""
    kube, selector = routed.server.kube, f"homeserver-operator.io/homeserver={routed.server.name}"
    kube.run("delete", "homeserver", routed.server.name)
    kube.run("wait", "--for=delete", "deployment,rs", f"--selector={selector}", "--timeout=120s")
    # A router waits for connections that proxies keep for the next request, and there is none.
    kube.run("delete", "pod", f"--selector={selector}", "--grace-period=1")
    kube.run("delete", "secret,pvc", f"--selector={selector}")
