"""Free ports for what tests and the rig start, by itself or beside another run on this machine.

Below the range from which the kernel gives ports to clients: between the choice and the start of
who listens there, no connection of a test that runs at the same time can take the port.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

# Above what services and Kubernetes itself use, below NodePorts and what Linux gives to clients.
_FIRST, _END = 12_000, 30_000

_given: set[int] = set()


def free_port() -> int:
    """Return a port at which nobody listens on any address, and that was not returned before."""
    while True:
        port = _FIRST + secrets.randbelow(_END - _FIRST)
        if port in _given:
            continue
        with suppress(OSError), socket.create_server(("", port)):
            _given.add(port)
            return port
