"""Keeps the ledgers of all Services: what the routers of a homeserver have agreed on.

Writes only if something has to change, and only on the version that it has read: whoever was faster
is right. While the API server is away the routers go on with what they know, and what is new gets
its slot by the same rules in each of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from homeserver_router import ledger
from homeserver_router.api import CONFLICT, Api, ApiError, Object
from homeserver_router.endpoints import Endpoints, members, present
from homeserver_router.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_router.metrics import Metrics

SETTLE_SECONDS: Final = 1.0
"""How long who comes in addition waits for a predecessor that is about to go."""
REFRESH_SECONDS: Final = 30.0
ATTEMPTS: Final = 5
PATIENCE_SECONDS: Final = 2.0
"""With an API server that does not answer: what HAProxy holds waits for this."""

log = logging.getLogger(__name__)


class Agreement:
    """The ledgers, by Service; they stand in the ConfigMap `name`."""

    def __init__(
        self, api: Api, name: str, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._name = name
        self._metrics = metrics
        self._clock = clock
        self._version: str | None = None
        self._read_at = -REFRESH_SECONDS
        self._waiting: dict[tuple[str, str], float] = {}
        self._ledgers: dict[str, Ledger] = {}
        self.reached = False
        """Whether the last look or write succeeded."""

    def of(self, service: str) -> Ledger:
        """What is agreed for one Service."""
        return self._ledgers.get(service, Ledger())

    @property
    def settles(self) -> bool:
        """Whether somebody still waits for a predecessor to go."""
        now = self._clock()
        return any(now - since < SETTLE_SECONDS for since in self._waiting.values())

    async def update(self, endpoints: Mapping[str, Endpoints], slots: Mapping[str, int]) -> None:
        """Give slots to who came and take them from who went, together with the others."""
        self._note_waiting(endpoints, slots)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if await self._agree(endpoints, slots):
                    return
        except (ApiError, TimeoutError) as error:
            self.reached = False
            log.warning("the ledger of slots cannot be used, going on without: %r", error)
        self._ledgers |= self._next(endpoints, slots)

    async def _agree(self, endpoints: Mapping[str, Endpoints], slots: Mapping[str, int]) -> bool:
        """False if others were faster again and again."""
        if self._clock() - self._read_at > REFRESH_SECONDS:
            await self._read()
        for _ in range(ATTEMPTS):
            wanted = self._next(endpoints, slots)
            if not wanted or await self._write(wanted, slots, endpoints):
                return True
            await self._read()
        return False

    def _next(
        self, endpoints: Mapping[str, Endpoints], slots: Mapping[str, int]
    ) -> dict[str, Ledger]:
        now = self._clock()
        changed: dict[str, Ledger] = {}
        for service, count in slots.items():
            known = self.of(service)
            found = endpoints.get(service, ())
            after = ledger.assign(
                known,
                present=present(found),
                members=members(found),
                slots=count,
                patient={
                    pod
                    for (its, pod), since in self._waiting.items()
                    if its == service and now - since < SETTLE_SECONDS
                },
            )
            if after != known:
                changed[service] = after
        return changed

    def _note_waiting(self, endpoints: Mapping[str, Endpoints], slots: Mapping[str, int]) -> None:
        now = self._clock()
        self._waiting = {
            (service, pod): self._waiting.get((service, pod), now)
            for service in slots
            for pod in members(endpoints.get(service, ()))
            if pod not in self.of(service).slots
        }

    async def _read(self) -> None:
        found = await self._api.get("configmaps", self._name)
        self._version = found["metadata"]["resourceVersion"]
        data = found.get("data") or {}
        self._ledgers = {service: Ledger.parse(text) for service, text in data.items()}
        self._read_at = self._clock()
        self.reached = True

    async def _write(
        self,
        changed: Mapping[str, Ledger],
        slots: Mapping[str, int],
        endpoints: Mapping[str, Endpoints],
    ) -> bool:
        """True once written; False if somebody else was faster."""
        # A Service that nobody knows any more leaves with whatever is written next.
        obsolete = [each for each in self._ledgers if each not in slots and each not in endpoints]
        data: dict[str, str | None] = dict.fromkeys(obsolete)
        data |= {service: each.text() for service, each in changed.items()}
        patch: Object = {"metadata": {"resourceVersion": self._version}, "data": data}
        try:
            if self._version is None:
                await self._read()
                return False
            found = await self._api.merge("configmaps", self._name, patch)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            self._metrics.ledger_conflicts.inc()
            return False
        self._version = found["metadata"]["resourceVersion"]
        self._ledgers |= changed
        for each in obsolete:
            del self._ledgers[each]
        self._metrics.ledger_writes.inc()
        self.reached = True
        return True
