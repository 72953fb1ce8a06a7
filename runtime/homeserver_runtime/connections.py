"""What the kernel knows of a connection and Twisted does not yet."""

from __future__ import annotations

import socket
from typing import Any


def has_unread(connection: Any) -> bool:
    """Whether something has arrived that nobody has read: closing the connection would reset it.

    Args:
        connection: what a Twisted transport's getHandle() returns. Of TLS nothing is told, as only
            what has been decrypted could be looked at: False.

    """
    if not isinstance(connection, socket.socket):
        return False
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
