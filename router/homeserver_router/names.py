"""Where Services of others are, by their names: whose pods are none of ours are not followed.

Asked again and again, for HAProxy itself would ask once, when it reads its configuration; and its
own resolvers know no search domains. A name that is not resolved keeps the address that it had.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from homeserver_router.endpoints import Address, Endpoint, Endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_router.metrics import Metrics

PERIOD_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Names:
    """The Services that `follow` was told; `changed` is called when one of them has moved."""

    def __init__(self, changed: Callable[[], None], metrics: Metrics) -> None:
        self._changed = changed
        self._metrics = metrics
        self._ports: dict[str, int] = {}
        self._addresses: dict[str, Address] = {}
        self._errors: dict[str, str] = {}
        self._more = asyncio.Event()

    def follow(self, ports: Mapping[str, int]) -> None:
        """From now on these are followed: their ports by their names."""
        if ports == self._ports:
            return
        self._addresses = {
            name: address
            for name, address in self._addresses.items()
            if ports.get(name) == address.port
        }
        self._errors = {}
        self._ports = dict(ports)
        self._more.set()

    @property
    def endpoints(self) -> dict[str, Endpoints]:
        """Those that have an address, as if each was one pod of its own name."""
        return {
            name: (Endpoint(name, address, ready=True, terminating=False),)
            for name, address in self._addresses.items()
        }

    async def run(self) -> None:
        """Follow."""
        while True:
            await asyncio.gather(*(self._look_up(*host) for host in self._ports.items()))
            try:
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._more.wait()
            except TimeoutError:
                pass
            self._more.clear()

    async def _look_up(self, name: str, port: int) -> None:
        known = self._addresses.get(name)
        try:
            found = await resolve(name, port)
        except (OSError, UnicodeError) as error:
            self._metrics.name_errors.inc()
            if self._errors.get(name) != str(error):
                log.warning("%s is not resolved, it stays at %s: %s", name, known, error)
            self._errors[name] = str(error)
            return
        self._errors.pop(name, None)
        # Several may be given in another order each time.
        if known not in found and self._ports.get(name) == port:
            log.info("%s is at %s", name, found[0].ip)
            self._addresses[name] = found[0]
            self._changed()


async def resolve(name: str, port: int) -> list[Address]:
    """All addresses of a name, IPv4 first, as the pod's resolver knows them.

    Raises:
        OSError, UnicodeError: if there are none, or nobody tells.

    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return [Address(str(where[0]), port) for *_, where in found]
