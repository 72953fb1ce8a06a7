"""HAProxy's backends: one for each route class, and one for main, which has all the rest.

A class that falls to main has a backend, too: so it keeps its time to answer, and its metrics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from homeserver_operator.api.names import HTTP_PORT, MAIN
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.topology import Process, Topology

FALLBACK_AFTER: Final = 15
"""Seconds without any process of its own after which a class may go to main."""

MOST_SLOTS: Final = 128
_UNKNOWN: Final = 16
"""Pods of a group of which somebody else decides the number, and no autoscaler bounds it."""


@dataclass(frozen=True)
class Backend:
    """Where the requests of one route class go.

    `slots` is how many pods there can be, twice what is wanted, because a successor may come before
    its predecessor goes. `named`: the Service is somebody else's, and is reached by its name.
    """

    target: Target
    service: str
    port: int
    slots: int
    falls_back: bool

    @property
    def name(self) -> str:
        """The name of the route class."""
        return self.target.route_class.name

    @property
    def single(self) -> bool:
        """Whether one process answers."""
        return self.target.single

    @property
    def named(self) -> bool:
        """Whether the Service is somebody else's."""
        return self.target.service is not None


def make_backends(
    server: HomeServer, topology: Topology, everyone: tuple[Target, ...]
) -> tuple[Backend, ...]:
    """The backends in the order of the targets, main last."""
    # Without rows nothing leads there.
    with_rows = (target for target in everyone if target.routes)
    return tuple(_backend(server, topology, target) for target in (*with_rows, MAIN_TARGET))


def _backend(server: HomeServer, topology: Topology, target: Target) -> Backend:
    if target.service:
        return Backend(target, target.service.name, target.service.port, 1, falls_back=False)
    name = MAIN if target.is_main else target.route_class.name
    return Backend(
        target,
        client_service_name(server, name),
        HTTP_PORT,
        1 if target.single else _slots(server, topology, target),
        falls_back=_falls_back(topology, target),
    )


def _slots(server: HomeServer, topology: Topology, target: Target) -> int:
    members = sum(_pods(server, process) for process in target.members(topology))
    return min(2 * members + 2, MOST_SLOTS)


def _pods(server: HomeServer, process: Process) -> int:
    if process.replicas is not None:
        return process.replicas
    (group,) = (each for each in server.workers if each.name == process.group)
    return group.autoscale.max_replicas if group.autoscale else _UNKNOWN


def _falls_back(topology: Topology, target: Target) -> bool:
    """Whether main answers what the processes of a class answer, if these are all gone.

    The writer of a stream is the only one who can.
    """
    route_class = target.route_class
    written = route_class.stream == target.claim and target.claim in topology.writers
    return route_class.main_can and not target.is_main and not written


def agent_backends(backends: tuple[Backend, ...]) -> dict[str, Any]:
    """What the agent must know of each backend, by name."""
    main = next(each.service for each in backends if each.name == MAIN)
    return {each.name: dict(_entry(each, main)) for each in backends}


def _entry(backend: Backend, main: str) -> Iterator[tuple[str, Any]]:
    yield "service", backend.service
    yield "port", backend.port
    yield "slots", backend.slots
    yield "main", backend.service == main
    if backend.named:
        # Its pods are none of ours: the agent follows its name.
        yield "byName", True
    if backend.falls_back:
        yield "fallback", {"server": MAIN, "service": main, "after": FALLBACK_AFTER}
