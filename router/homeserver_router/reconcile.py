"""One look: brings HAProxy to the configuration that is wanted, and its servers to where pods are.

What the API server does not tell now stays as it is; the volume remembers what HAProxy runs by.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
from homeserver_router.files import Files
from homeserver_router.haproxy import MASTER, SCRIPT, HAProxy, HAProxyError
from homeserver_router.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_router.endpoints import Endpoints
    from homeserver_router.metrics import Metrics
    from homeserver_router.plan import Servers
    from homeserver_router.settings import Settings

log = logging.getLogger(__name__)


class Reconciler:
    """What HAProxy is brought to, and how far that is.

    `running` is the configuration that HAProxy was last seen to run, with everyone in place.
    """

    def __init__(
        self,
        settings: Settings,
        api: Api,
        metrics: Metrics,
        names: Names,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._metrics = metrics
        self._names = names
        self._files = Files(settings.directory)
        self._driver = Driver(HAProxy(settings.directory / MASTER), metrics)
        self.choice = Choice(clock)
        self.agreement = Agreement(api, settings.ledger, metrics)
        self.desired = Desired(clock)
        self._endpoints: Mapping[str, Endpoints] | None = None
        self.configuration: Configuration | None = None
        self.running: str | None = None

    def resume(self) -> None:
        """Go on with what is on the volume: this container may have started again."""
        name = self._files.current_name()
        if name:
            try:
                self.configuration = self._files.read(name)
                config = self._files.text(name, HAPROXY)
                self.desired.recall(self.configuration, plan.read_addresses(config))
            except ConfigurationRefusedError as error:
                log.warning("%s", error)

    async def bring_up_to_date(
        self, wanted: str | None, endpoints: Mapping[str, Endpoints] | None
    ) -> None:
        """Load the configuration `wanted` if it is a new one, and follow these endpoints.

        Without `endpoints`, which nobody has told yet, nobody is given or loses a slot.

        Raises:
            HAProxyError, OSError: if HAProxy is not there by now.

        """
        self._endpoints = endpoints
        # First: what the new one means somebody for, the old one must not send there.
        new = await self._new_configuration(wanted)
        if new:
            try:
                await self._load(new)
            except ConfigurationRefusedError as error:
                self._refuse(new.name, str(error))
        if self.configuration:
            await self._follow(self.configuration)

    async def _new_configuration(self, wanted: str | None) -> Configuration | None:
        loaded = self.configuration.name if self.configuration else None
        name = self.choice.next(wanted, loaded=loaded)
        if name is None:
            return None
        try:
            found = await self._api.get("configmaps", name)
            return Configuration.parse(name, found.get("data") or {})
        except ApiError as error:
            log.warning("the configuration cannot be read: %s", error)
        except ConfigurationRefusedError as error:
            self._refuse(name, str(error))
        return None

    def _refuse(self, name: str, why: str) -> None:
        self.choice.refuse(name, why)
        self._metrics.reloads.labels("refused").inc()
        log.error("the configuration is refused, the old one goes on: %s", why)

    async def _load(self, new: Configuration) -> None:
        old = self.configuration
        servers = await self._servers(new)
        self._files.write(new, self._finished(new, servers, pods.by_address(self._everyone)))
        await self._files.check(new.name, HAPROXY)
        self._files.use(new.name)
        self.configuration = new
        self.choice.accept()
        try:
            # Else its container waits for these files.
            if await self._driver.runs():
                await self._driver.reload(new.name)
        except HAProxyError as error:
            if old:
                self._files.use(old.name)
            self.configuration = old
            raise ConfigurationRefusedError(str(error)) from error
        self._metrics.reloads.labels("ok").inc()
        log.info("loaded %s", new.name)
        self._files.prune({new.name, old.name if old else None})

    async def _servers(self, configuration: Configuration) -> Servers:
        self._names.follow(configuration.named())
        if self._endpoints is not None:
            await self.agreement.update(self._endpoints, configuration.slots())
        return self.desired.servers(
            configuration,
            self._everyone,
            self.agreement.of,
            told=self._endpoints is not None,
        )

    @property
    def _everyone(self) -> dict[str, Endpoints]:
        return {**(self._endpoints or {}), **self._names.endpoints}

    def _finished(
        self, configuration: Configuration, servers: Servers, names: Mapping[str, str]
    ) -> dict[str, str]:
        """The files with who is there now; `names` are those of pods, by address."""
        config = plan.with_addresses(
            configuration.files[HAPROXY], servers, configuration.name, str(SCRIPT)
        )
        return {HAPROXY: config, PODS: pods.text(names)}

    async def _follow(self, configuration: Configuration) -> None:
        """Bring HAProxy there, and the files that it would start with."""
        servers = await self._servers(configuration)
        names = pods.by_address(self._everyone)
        for file, text in self._finished(configuration, servers, names).items():
            self._files.update(configuration.name, file, text)
        running = await self._driver.converge(servers, names, configuration.name)
        if running != configuration.name:
            log.warning("HAProxy runs %s, reloading", running or "something else")
            await self._driver.reload(configuration.name)
        self.running = configuration.name
