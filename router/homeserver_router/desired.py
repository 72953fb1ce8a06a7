"""What HAProxy's servers shall be, from the pods that there are and the slots that are agreed on.

Remembers what cannot be seen: the last addresses of who has gone, and since when nobody is there.
No I/O; the clock comes from outside.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from homeserver_router import plan
from homeserver_router.endpoints import Address, Endpoints, members, serving
from homeserver_router.plan import NOBODY, Server, Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_router.configuration import Backend, Configuration
    from homeserver_router.ledger import Ledger


AWAIT_SECONDS: Final = 5.0
"""How long after the first pod of a Service those are awaited that started to warm up with it.

Their sockets hold requests already. Else the first one would get everybody's, just when everybody
comes back, and would fill its caches with what is others'.
"""

FORGET_SECONDS: Final = 5.0
"""How long requests are led to the last address of a Service without any pod. Until then it refuses
them, and they wait; later it may be somebody else's, who would hear them."""


@dataclasses.dataclass(frozen=True)
class Standing:
    """One backend for people and metrics: pods by slot, who has none, and whether others answer."""

    service: str
    slots: int
    pods: Mapping[int, str]
    unplaced: tuple[str, ...]
    fallback: bool


class Desired:
    """The servers that are wanted now; `standing` says why, by backend."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[str, dict[int, Address]] = {}
        self._empty_since: dict[str, float] = {}
        self._unserved_since: dict[str, float] = {}
        self._ready_since: dict[str, float] = {}
        self._recalled: dict[str, Address] = {}
        self.standing: dict[str, Standing] = {}

    def recall(self, configuration: Configuration, observed: Servers) -> None:
        """Learn what HAProxy had before this agent."""
        for name, backend in configuration.backends.items():
            found = {
                server: state.address
                for server, state in observed.get(name, {}).items()
                if state.enabled and state.address and state.address != NOBODY
            }
            slots = {
                int(server[1:]): address
                for server, address in found.items()
                if server[1:].isdigit()
            }
            self._last.setdefault(backend.service, slots)
            if backend.fallback and (others := found.get(backend.fallback.server)):
                self._recalled[name] = others
                self._unserved_since[backend.service] = self._clock() - backend.fallback.after

    def servers(
        self,
        configuration: Configuration,
        endpoints: Mapping[str, Endpoints],
        ledger: Callable[[str], Ledger],
        *,
        told: bool = True,
    ) -> Servers:
        """All servers of all backends.

        Before anybody has `told` of pods, none of them has gone, and who stands in goes on.
        """
        self._note_times(configuration, endpoints, told=told)
        before = {each.service: frozenset(each.pods.values()) for each in self.standing.values()}
        self.standing = {}
        wanted: Servers = {}
        for name, backend in configuration.backends.items():
            ours = backend.port is None
            slots = ledger(backend.service).slots if ours else {backend.service: 1}
            awaited = before.get(backend.service, frozenset()) if self._awaits(backend) else ()
            found = members(endpoints.get(backend.service, ()), awaited)
            pods = {slots[pod]: pod for pod in found if slots.get(pod, 0) in _range(backend)}
            placed = {slot: found[pod] for slot, pod in pods.items()}
            if placed or self._lasts(self._empty_since, backend.service, FORGET_SECONDS):
                self._last[backend.service] = {**placed}
            last = self._last.get(backend.service, {})
            filled = plan.fill(placed, slots=backend.slots, last=last)
            wanted[name] = plan.servers(filled, backend.slots)
            fallback = self._fallback(backend, endpoints) if told else self._recalled.get(name)
            if fallback and backend.fallback:
                wanted[name] = plan.servers({}, backend.slots)
                wanted[name][backend.fallback.server] = Server(fallback, enabled=True)
            elif backend.fallback:
                wanted[name][backend.fallback.server] = Server(None, enabled=False)
            unplaced = tuple(sorted(set(found) - set(pods.values())))
            self.standing[name] = Standing(
                backend.service, backend.slots, pods, unplaced, fallback is not None
            )
        return wanted

    def _note_times(
        self, configuration: Configuration, endpoints: Mapping[str, Endpoints], *, told: bool
    ) -> None:
        now = self._clock()
        services = {
            backend.service: endpoints.get(backend.service, ())
            for backend in configuration.backends.values()
        }

        def since(
            before: Mapping[str, float], holds: Callable[[Endpoints], bool]
        ) -> dict[str, float]:
            return {
                service: before.get(service, now)
                for service, found in services.items()
                if holds(found)
            }

        self._ready_since = since(
            self._ready_since, lambda found: any(each.ready for each in found)
        )
        if not told:
            return
        self._unserved_since = since(self._unserved_since, lambda found: not serving(found))
        # A name that is not resolved says nothing of who is there.
        for service in configuration.named():
            del services[service]
        self._empty_since = since(self._empty_since, lambda found: not members(found))

    def _lasts(self, since: Mapping[str, float], service: str, seconds: float) -> bool:
        """Whether something holds for so long."""
        return service in since and self._clock() - since[service] >= seconds

    def _awaits(self, backend: Backend) -> bool:
        """Whether others may follow whoever was the first of a Service to be ready."""
        since, service = self._ready_since, backend.service
        return service in since and not self._lasts(since, service, AWAIT_SECONDS)

    def _fallback(self, backend: Backend, endpoints: Mapping[str, Endpoints]) -> Address | None:
        """Who answers instead, if it has come to that; where nobody does, requests wait."""
        if backend.fallback is None or not self._lasts(
            self._unserved_since, backend.service, backend.fallback.after
        ):
            return None
        others = serving(endpoints.get(backend.fallback.service, ()))
        return others[min(others)] if others else None


def _range(backend: Backend) -> range:
    return range(1, backend.slots + 1)
