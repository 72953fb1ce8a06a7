"""The agent's one loop: look at what there is, and bring HAProxy there.

Level-triggered: events only wake it. Whatever fails is tried again; HAProxy goes on with what it
has, whether or not the API server answers.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from homeserver_router.endpoints import SERVICE_LABEL, Endpoints, by_service, labels_of
from homeserver_router.haproxy import HAProxyError
from homeserver_router.meeting import Meeting
from homeserver_router.names import Names
from homeserver_router.reconcile import Reconciler
from homeserver_router.watch import Watch

if TYPE_CHECKING:
    from homeserver_router.api import Api
    from homeserver_router.metrics import Metrics
    from homeserver_router.settings import Settings

HOMESERVER_LABEL: Final = "homeserver-operator.io/homeserver"
CONFIG_ANNOTATION: Final = "homeserver-operator.io/router-config"
MAIN_REVISION_ANNOTATION: Final = "homeserver-operator.io/main-revision"
REVISION_LABEL: Final = "homeserver-operator.io/revision"

LOOK_SECONDS: Final = 1.0
"""How often HAProxy is looked at when nothing happens: its container may have started again."""
SETTLE_LOOK_SECONDS: Final = 0.2
PACE_SECONDS: Final = 0.05
"""Least time between two looks: endpoints that change together are followed together."""
STALE_SECONDS: Final = 120.0
"""Longer than any one step: a new configuration is checked and loaded, the API server does not
answer. HAProxy serves meanwhile, and all routers hear of the same at once."""
STUCK_SECONDS: Final = 180.0
GONE_LOOKS: Final = 2
"""So often HAProxy must not answer before the agent takes it for ended; a reload takes less."""

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Condition:
    """How things stand, for probes and people."""

    synced_at: float | None = None
    looked_at: float | None = None
    leaving: bool = False
    problem: str | None = "nothing is loaded yet"


class Agent:
    """One router's agent."""

    def __init__(self, settings: Settings, api: Api, metrics: Metrics) -> None:
        self._metrics = metrics
        self._clock = time.monotonic
        labels = f"{HOMESERVER_LABEL}={settings.homeserver},{SERVICE_LABEL}"
        self._slices = Watch(
            api, "endpointslices", {"labelSelector": labels}, self._endpoints_changed
        )
        name = {"fieldSelector": f"metadata.name={settings.service}"}
        self._services = Watch(api, "services", name, self._wake)
        self._service = settings.service
        self._main = settings.main
        self._meeting = Meeting(self._clock)
        self._names = Names(self._wake, metrics)
        self._reconciler = Reconciler(settings, api, metrics, self._names, self._clock)
        self._endpoints: dict[str, Endpoints] | None = None
        self._heard: float | None = None
        self._unanswered = 0
        self._woken = asyncio.Event()
        self.condition = Condition()

    def leave(self) -> None:
        """Stop as soon as HAProxy has: what it still holds has to be served."""
        self.condition.leaving = True
        self._wake()

    @property
    def running(self) -> str | None:
        """The configuration that HAProxy was last seen to run, with everyone in place."""
        return self._reconciler.running

    @property
    def ready(self) -> bool:
        """HAProxy runs what it should, and every backend had its addresses."""
        now = self.condition
        fresh = now.synced_at is not None and self._clock() - now.synced_at < STALE_SECONDS
        return fresh and now.problem is None and not now.leaving

    @property
    def live(self) -> bool:
        """The loop moves."""
        looked = self.condition.looked_at
        return looked is None or self._clock() - looked < STUCK_SECONDS

    def state(self) -> dict[str, Any]:
        """Everything for people, without secrets."""
        now, reconciler = self.condition, self._reconciler
        return {
            "configuration": {
                "wanted": reconciler.choice.wanted,
                "running": reconciler.running,
                "refused": reconciler.choice.refused,
            },
            "ready": self.ready,
            "leaving": now.leaving,
            "problem": now.problem,
            "follows": {"services": self._services.synced, "endpoints": self._slices.synced},
            "agrees": reconciler.agreement.reached,
            "backends": {
                name: dataclasses.asdict(each) for name, each in reconciler.desired.standing.items()
            },
        }

    async def run(self) -> None:
        """Follow until told to leave, and HAProxy has gone."""
        self._reconciler.resume()
        followed = (self._slices, self._services, self._names)
        watches = [asyncio.create_task(each.run()) for each in followed]
        try:
            while not self._over:
                await self._step()
                for watch in watches:
                    if watch.done():
                        watch.result()
                await self._pause()
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    @property
    def _over(self) -> bool:
        gone = self._reconciler.configuration is None or self._unanswered >= GONE_LOOKS
        return self.condition.leaving and gone

    def _wake(self) -> None:
        self._woken.set()

    def _endpoints_changed(self) -> None:
        if self._heard is None:
            self._heard = self._clock()
        self._wake()

    async def _pause(self) -> None:
        await asyncio.sleep(PACE_SECONDS)
        seconds = SETTLE_LOOK_SECONDS if self._reconciler.agreement.settles else LOOK_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _step(self) -> None:
        self.condition.looked_at = self._clock()
        if self._is_too_early():
            return
        heard, self._heard = self._heard, None
        if heard is not None:
            self._endpoints = by_service(self._slices.objects.values())
        try:
            await self._reconciler.bring_up_to_date(self._wanted(), self._endpoints)
        except (HAProxyError, OSError) as error:
            # What was heard is not done yet, and its lag counts on.
            self._heard = heard if self._heard is None else self._heard
            self._unanswered += isinstance(error, HAProxyError)
            self._problem(str(error))
            self._metrics.haproxy_errors.inc()
        else:
            if self._reconciler.configuration:
                self._unanswered = 0
                self._done(heard)

    def _wanted(self) -> str | None:
        """What the Service's annotation names; before all pods are known nothing is loaded."""
        return self._told(CONFIG_ANNOTATION) if self._endpoints is not None else None

    def _told(self, annotation: str) -> str | None:
        """What the router's Service says."""
        service = self._services.objects.get(self._service)
        annotations = (service["metadata"].get("annotations") or {}) if service else {}
        found: str | None = annotations.get(annotation)
        return found

    def _is_too_early(self) -> bool:
        """Whether the routes that are told of and where main is do not belong together yet."""
        shown = labels_of(self._slices.objects.values(), self._main, REVISION_LABEL)
        return self._meeting.is_awaited(self._told(MAIN_REVISION_ANNOTATION), shown)

    def _problem(self, text: str) -> None:
        if text != self.condition.problem:
            log.warning("%s", text)
        self.condition.problem = text

    def _done(self, heard: float | None) -> None:
        if self.condition.problem:
            log.info("HAProxy runs %s, with everyone in place", self.running)
        self.condition.problem = None
        self.condition.synced_at = self._clock()
        self._metrics.last_sync.set_to_current_time()
        if heard is not None:
            self._metrics.lag.observe(self._clock() - heard)
        for name, each in self._reconciler.desired.standing.items():
            self._metrics.slots.labels(name).set(each.slots)
            self._metrics.members.labels(name).set(len(each.pods))
            self._metrics.unplaced.labels(name).set(len(each.unplaced))
            self._metrics.fallback.labels(name).set(each.fallback)
