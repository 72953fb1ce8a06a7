"""Answers probes, Prometheus and people: GET only, one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Final

from homeserver_router.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from homeserver_router.agent import Agent
    from homeserver_router.metrics import Metrics

REQUEST_SECONDS: Final = 5.0
LARGEST: Final = 8192

_REASONS: Final = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class Probes:
    """`/ready`, `/live`, `/state` and `/metrics`."""

    def __init__(self, agent: Agent, metrics: Metrics) -> None:
        self._agent = agent
        self._metrics = metrics

    async def serve(self, port: int) -> asyncio.Server:
        """Listen on every address of the pod."""
        return await asyncio.start_server(self._handle, None, port, limit=LARGEST)

    def answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if method not in {"GET", "HEAD"}:
            return 405, "text/plain", b"only GET\n"
        if path == "/metrics":
            return 200, CONTENT_TYPE, self._metrics.text()
        if path == "/state":
            return 200, "application/json", json.dumps(self._agent.state()).encode() + b"\n"
        if path == "/ready":
            reason = "leaving" if self._agent.condition.leaving else self._agent.condition.problem
            return _verdict(self._agent.ready, reason)
        if path == "/live":
            return _verdict(self._agent.live, "the loop is stuck")
        return 404, "text/plain", b"there are /ready, /live, /state and /metrics\n"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            TimeoutError,
            OSError,
            ValueError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ):
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n")[0].decode("ascii").split(" ")
                status, kind, body = self.answer(method, target.partition("?")[0])
                writer.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                writer.write(b"" if method == "HEAD" else body)
                await writer.drain()
        writer.close()


def _verdict(ok: bool, reason: str | None) -> tuple[int, str, bytes]:
    body = {"ok": ok} if ok else {"ok": ok, "reason": reason or "HAProxy was not looked at lately"}
    return 200 if ok else 503, "application/json", json.dumps(body).encode() + b"\n"
