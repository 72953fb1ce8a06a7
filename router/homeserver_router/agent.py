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

from homeserver_router import plan, pods
from homeserver_router.agreement import Agreement
from homeserver_router.api import Api, ApiError
from homeserver_router.choice import Choice
from homeserver_router.configuration import (
    HAPROXY,
    PODS,
    Configuration,
    ConfigurationRefusedError,
)
from homeserver_router.desired import Desired
from homeserver_router.driver import Driver
from homeserver_router.endpoints import SERVICE_LABEL, Endpoints, by_service
from homeserver_router.files import Files
from homeserver_router.haproxy import MASTER, SCRIPT, HAProxy, HAProxyError
from homeserver_router.watch import Watch

if TYPE_CHECKING:
    from homeserver_router.metrics import Metrics
    from homeserver_router.plan import Servers
    from homeserver_router.settings import Settings

HOMESERVER_LABEL: Final = "homeserver-operator.io/homeserver"
CONFIG_ANNOTATION: Final = "homeserver-operator.io/router-config"

LOOK_SECONDS: Final = 1.0
"""How often HAProxy is looked at when nothing happens: its container may have started again."""
SETTLE_LOOK_SECONDS: Final = 0.2
PACE_SECONDS: Final = 0.05
"""Least time between two looks: endpoints that change together are followed together."""
STALE_SECONDS: Final = 10.0
GONE_LOOKS: Final = 2
"""So often HAProxy must not answer before the agent takes it for ended; a reload takes less."""

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Condition:
    """How things stand, for probes and people."""

    running: str | None = None
    synced_at: float | None = None
    looked_at: float | None = None
    leaving: bool = False
    problem: str | None = "nothing is loaded yet"


class Agent:
    """One router's agent."""

    def __init__(self, settings: Settings, api: Api, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics
        self._clock = time.monotonic
        self._files = Files(settings.directory)
        self._driver = Driver(HAProxy(settings.directory / MASTER), metrics)
        self._agreement = Agreement(api, settings.ledger, metrics)
        self._desired = Desired(self._clock)
        labels = f"{HOMESERVER_LABEL}={settings.homeserver},{SERVICE_LABEL}"
        self._slices = Watch(
            api, "endpointslices", {"labelSelector": labels}, self._endpoints_changed
        )
        name = {"fieldSelector": f"metadata.name={settings.service}"}
        self._services = Watch(api, "services", name, self._wake)
        self._service = settings.service
        self._configuration: Configuration | None = None
        self._endpoints: dict[str, Endpoints] = {}
        self._heard: float | None = None
        self._unanswered = 0
        self._choice = Choice(self._clock)
        self._woken = asyncio.Event()
        self.condition = Condition()

    def leave(self) -> None:
        """Stop as soon as HAProxy has: what it still holds has to be served."""
        self.condition.leaving = True
        self._wake()

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
        return looked is None or self._clock() - looked < 6 * STALE_SECONDS

    def state(self) -> dict[str, Any]:
        """Everything for people, without secrets."""
        now = self.condition
        return {
            "configuration": {
                "wanted": self._choice.wanted,
                "running": now.running,
                "refused": self._choice.refused,
            },
            "ready": self.ready,
            "leaving": now.leaving,
            "problem": now.problem,
            "follows": {"services": self._services.synced, "endpoints": self._slices.synced},
            "agrees": self._agreement.reached,
            "backends": {
                name: dataclasses.asdict(each) for name, each in self._desired.standing.items()
            },
        }

    async def run(self) -> None:
        """Follow until told to leave, and HAProxy has gone."""
        self._resume()
        watches = [asyncio.create_task(each.run()) for each in (self._slices, self._services)]
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
        gone = self._configuration is None or self._unanswered >= GONE_LOOKS
        return self.condition.leaving and gone

    def _wake(self) -> None:
        self._woken.set()

    def _endpoints_changed(self) -> None:
        if self._heard is None:
            self._heard = self._clock()
        self._wake()

    async def _pause(self) -> None:
        await asyncio.sleep(PACE_SECONDS)
        seconds = SETTLE_LOOK_SECONDS if self._agreement.settles else LOOK_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def _resume(self) -> None:
        """Go on with what is on the volume: this container may have started again."""
        name = self._files.current_name()
        if name:
            try:
                self._configuration = self._files.read(name)
                config = self._files.text(name, HAPROXY)
                self._desired.recall(self._configuration, plan.read_addresses(config))
            except ConfigurationRefusedError as error:
                log.warning("%s", error)

    async def _step(self) -> None:
        heard, self._heard = self._heard, None
        self.condition.looked_at = self._clock()
        if heard is not None:
            self._endpoints = by_service(self._slices.objects.values())
        try:
            await self._bring_up_to_date()
            if self._configuration is None:
                return
        except (HAProxyError, OSError) as error:
            # What was heard is not done yet, and its lag counts on.
            self._heard = heard if self._heard is None else self._heard
            self._unanswered += isinstance(error, HAProxyError)
            self._problem(str(error))
            self._metrics.haproxy_errors.inc()
        else:
            self._unanswered = 0
            self._done(heard)

    async def _bring_up_to_date(self) -> None:
        trouble = None
        if self._configuration:
            try:
                await self._follow(self._configuration)
            except HAProxyError as error:
                # Perhaps there is a configuration by now with which it starts.
                trouble = error
        try:
            new = await self._new_configuration()
        except ApiError as error:
            log.warning("the configuration cannot be read: %s", error)
            new = None
        if new:
            try:
                await self._load(new)
            except ConfigurationRefusedError as error:
                self._refuse(new.name, str(error))
            if self._configuration:
                await self._follow(self._configuration)
        elif trouble:
            raise trouble

    def _problem(self, text: str) -> None:
        if text != self.condition.problem:
            log.warning("%s", text)
        self.condition.problem = text

    def _done(self, heard: float | None) -> None:
        if self.condition.problem:
            log.info("HAProxy runs %s, with everyone in place", self.condition.running)
        self.condition.problem = None
        self.condition.synced_at = self._clock()
        self._metrics.last_sync.set_to_current_time()
        if heard is not None:
            self._metrics.lag.observe(self._clock() - heard)
        for name, each in self._desired.standing.items():
            self._metrics.slots.labels(name).set(each.slots)
            self._metrics.members.labels(name).set(len(each.pods))
            self._metrics.unplaced.labels(name).set(len(each.unplaced))
            self._metrics.fallback.labels(name).set(each.fallback)

    async def _new_configuration(self) -> Configuration | None:
        """What the Service's annotation names, if that is to be loaded now."""
        service = self._services.objects.get(self._service)
        if service is None or not self._slices.synced:
            return None
        name = self._choice.next(
            (service["metadata"].get("annotations") or {}).get(CONFIG_ANNOTATION),
            loaded=self._configuration.name if self._configuration else None,
        )
        if name is None:
            return None
        found = await self._api.get("configmaps", name)
        try:
            return Configuration.parse(name, found.get("data") or {})
        except ConfigurationRefusedError as error:
            self._refuse(name, str(error))
            return None

    def _refuse(self, name: str, why: str) -> None:
        self._choice.refuse(name, why)
        self._metrics.reloads.labels("refused").inc()
        log.error("the configuration is refused, the old one goes on: %s", why)

    async def _load(self, new: Configuration) -> None:
        old = self._configuration
        servers = await self._servers(new)
        finished = self._finished(new, servers)
        self._files.write(new, finished)
        await self._files.check(new.name, HAPROXY)
        self._files.use(new.name)
        self._configuration = new
        self._choice.accept()
        try:
            # Else its container waits for these files.
            if await self._driver.runs():
                await self._driver.reload(new.name)
        except HAProxyError as error:
            if old:
                self._files.use(old.name)
            self._configuration = old
            raise ConfigurationRefusedError(str(error)) from error
        self._metrics.reloads.labels("ok").inc()
        log.info("loaded %s", new.name)
        self._files.prune({new.name, old.name if old else None})

    async def _servers(self, configuration: Configuration) -> Servers:
        if self._slices.synced:
            await self._agreement.update(self._endpoints, configuration.slots())
        return self._desired.servers(configuration, self._endpoints, self._agreement.of)

    def _finished(self, configuration: Configuration, servers: Servers) -> dict[str, str]:
        text = plan.with_addresses(
            configuration.files[HAPROXY], servers, configuration.name, str(SCRIPT)
        )
        return {HAPROXY: text, PODS: pods.text(pods.by_address(self._endpoints))}

    async def _follow(self, configuration: Configuration) -> None:
        """Bring HAProxy there, and the files that it would start with."""
        servers = await self._servers(configuration)
        for name, text in self._finished(configuration, servers).items():
            self._files.update(configuration.name, name, text)
        names = pods.by_address(self._endpoints)
        running = await self._driver.converge(servers, names, configuration.name)
        if running != configuration.name:
            log.warning("HAProxy runs %s, reloading", running or "something else")
            await self._driver.reload(configuration.name)
        self.condition.running = configuration.name
