"""Requests to an address of one's choice, as they are written: what no good client would send."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 30.0
FORWARDED: Final = "X-Forwarded-For"


@dataclass(frozen=True)
class Reply:
    """Status and body; 0 if there was no answer."""

    status: int
    text: str = ""


def ask(
    address: str,
    host: str,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    *,
    port: int = 80,
    body: bytes = b"",
    claims: int | None = None,
) -> Reply:
    """One well-formed request; the body may be longer or shorter than what it `claims` to be."""
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        if body or claims is not None:
            connection.putheader("Content-Length", str(len(body) if claims is None else claims))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        # Who is refused early may be cut off before everything is sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(body)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def throw(address: str, data: bytes, *, port: int, seconds: float) -> bytes:
    """What comes back for some bytes, until the other side closes or time is up."""
    found, deadline = b"", time.monotonic() + seconds
    with (
        contextlib.suppress(OSError),
        socket.create_connection((address, port), timeout=seconds) as client,
    ):
        with contextlib.suppress(OSError):
            client.sendall(data)
        while (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            chunk = client.recv(65536)
            if not chunk:
                break
            found += chunk
    return found
