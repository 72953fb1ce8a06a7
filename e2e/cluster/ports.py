"""Free ports for what tests and the rig start, by itself or beside another run on this machine.

Below the range from which the kernel gives ports to clients, and kept by a lock for as long as the
process lives that asked: between the choice and the start of who listens there, neither a
connection nor another run on this machine can take the port.
"""

from __future__ import annotations

import fcntl
import functools
import os
import secrets
import socket
from contextlib import suppress

from e2e.cluster import cache

# Above what services and Kubernetes itself use, below NodePorts and what Linux gives to clients.
_FIRST, _END = 12_000, 30_000

_given: set[int] = set()


def free_port() -> int:
    """Return a port at which nobody listens on any address, and that was not returned before.

    No other process gets it either, from here, until this one has ended.
    """
    while True:
        port = _FIRST + secrets.randbelow(_END - _FIRST)
        if port in _given:
            continue
        with suppress(OSError):
            # Before the look: it listens for a moment, and must not do so where another starts.
            fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            _given.add(port)
            socket.create_server(("", port)).close()
            return port


@functools.cache
def _locks() -> int:
    """The file of which each byte stands for a port; never closed, or its locks would be gone."""
    return os.open(cache.lock_file("ports"), os.O_RDWR | os.O_CREAT, 0o666)
