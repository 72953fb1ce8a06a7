"""Listening sockets that are open before Synapse is and after: the kernel holds what arrives then.

Binds what Synapse's parsed configuration names and lets Synapse's reactor adopt it. Accepts
nothing, and knows nothing of what is served.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

from homeserver_runtime.failure import StartupFailedError
from homeserver_runtime.listeners import ANY_IPV4, listeners, serves_peers

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKLOG = 4096
"""Connections that wait to be accepted; Linux takes no more by default (net.core.somaxconn)."""


class Sockets:
    """The sockets of one process, by address and port as the configuration has them."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], socket.socket] = {}
        self._clients: list[socket.socket] = []

    def bind(self, config: Any) -> None:
        """Binds and listens on every TCP listener of Synapse's parsed configuration.

        Not on those of type `metrics`: Prometheus' server opens its own, and whoever scrapes comes
        again.

        Raises:
            StartupFailedError: if one cannot be had, naming it and the reason.

        """
        for listener, address in _wanted(config):
            held = _listen(listener.bind_addresses, address, listener.port)
            self._held[address, listener.port] = held
            if not serves_peers(listener):
                self._clients.append(held.dup())

    def hand_over(self, reactor: Any) -> None:
        """From now on who asks `reactor` to listen where one of these does gets that one.

        TLS and plain listeners alike come to `listenTCP`, TLS in a factory of its own.
        """
        listen = reactor.listenTCP

        def adopt(port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
            held = self._held.pop((interface, port), None)
            if held is None:
                return listen(port, factory, backlog, interface)
            with held:
                # It keeps a duplicate.
                return reactor.adoptStreamPort(held.fileno(), held.family, factory)

        reactor.listenTCP = adopt

    def for_late_comers(self) -> list[socket.socket]:
        """Those where clients are held when nobody else listens there any more; the caller's."""
        clients, self._clients = self._clients, []
        return clients

    def close(self) -> None:
        """Refuses from now on whoever was held, or comes when nobody else listens."""
        while self._held:
            self._held.popitem()[1].close()
        for held in self.for_late_comers():
            held.close()


def _wanted(config: Any) -> Iterator[tuple[Any, str]]:
    for listener in listeners(config):
        # A Unix socket has no port; nobody beyond the pod asks for one.
        if listener.type != "metrics" and hasattr(listener, "port"):
            for address in listener.bind_addresses:
                yield listener, address


def _listen(addresses: list[str], address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if _is_ipv6(address) else socket.AF_INET
    # Both wildcards of one listener share its port only if each keeps to its own family.
    both = family == socket.AF_INET6 and ANY_IPV4 not in addresses
    try:
        held = socket.create_server(
            (address, port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=both and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        where = f"{address or 'every address'}, port {port}"
        raise StartupFailedError(
            f"cannot listen on {where}: {reason}; see this process's listeners"
        ) from error
    held.setblocking(False)
    return held


def _is_ipv6(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 6
    except ValueError:
        return False
