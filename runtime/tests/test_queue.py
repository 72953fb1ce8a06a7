"""Whoever stands in the queue of a port that closes is taken, however many they are."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet import protocol, reactor, tcp

from homeserver_runtime.sockets import BACKLOG

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

MANY = 300


class _Site(protocol.Factory):  # type: ignore[misc] # untyped
    """What counts connections, as far as a port and the drain know a site."""

    noisy = False
    numPorts = 0  # noqa: N815 - as Twisted has it

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def buildProtocol(self, _address: IAddress | None) -> protocol.Protocol:  # noqa: N802
        made = protocol.Protocol()
        self.taken.append(made)
        return made


@pytest.mark.filterwarnings("ignore::DeprecationWarning:twisted")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:synapse")
def test_all_who_stand_in_the_queue_are_taken() -> None:
    # Imports Synapse, with its warnings.
    from homeserver_runtime import drain  # noqa: PLC0415

    site = _Site()
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as held:
        held.setblocking(False)
        port = tcp.Port._fromListeningDescriptor(reactor, held.fileno(), held.family, site)
        port.startListening()
    # As in life, where one comes now and then.
    port.numberAccepts = 1
    clients = [socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(MANY)]
    try:
        drain._stop_accepting(port, site)
        assert len(site.taken) == MANY
    finally:
        for made in site.taken:
            made.transport.abortConnection()
        for client in clients:
            client.close()
