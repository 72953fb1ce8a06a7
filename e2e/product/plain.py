"""Plain requests of one Matrix user, for what the client library lacks or hides.

The Ingress is found by address, not by DNS: each request carries the host name in its header.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

WAIT = 60.0
"""Seconds that any one answer may take on a small, busy machine."""


class MatrixError(AssertionError):
    """The server's answer was an error; the text is the server's."""


@dataclass(frozen=True)
class Answer:
    """The answer to a plain request."""

    status: int
    content: Any

    @property
    def error(self) -> str:
        """Matrix' code of the error, '' if there is none."""
        return str(self.content.get("errcode", "")) if isinstance(self.content, dict) else ""


class Plain:
    """Requests in the name of whoever has the token. Use as an asynchronous context manager."""

    def __init__(self, ingress: str, host: str) -> None:
        self.ingress = ingress
        self.host = host

    async def __aenter__(self) -> Self:
        # Who waits for a connection of their own client's would wait for nobody's server.
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(WAIT)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the connections."""
        await self._session.close()

    @property
    def token(self) -> str:
        """The access token."""
        raise NotImplementedError

    def authorization(self, method: str, path: str, body: object) -> str:  # noqa: ARG002 - others do
        """The header by which the server knows who asks."""
        return f"Bearer {self.token}"

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """A plain request that must succeed; return the answer's content. Raises MatrixError."""
        answer = await self.call(method, path, body)
        if not 200 <= answer.status < 300:
            raise MatrixError(f"{method} {path}: {answer.status} {answer.content}")
        return answer.content

    async def ask_until(
        self, what: str, holds: Callable[[Any], bool], method: str, path: str, body: object = None
    ) -> Any:
        """Ask again and again until the answer is as wanted; raises MatrixError."""
        seen = None
        try:
            async with asyncio.timeout(WAIT):
                while True:
                    seen = await self.ask(method, path, body)
                    if holds(seen):
                        return seen
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise MatrixError(f"{what}: not within {WAIT:.0f} s; last seen: {seen}") from error

    async def call(
        self, method: str, path: str, body: object = None, *, agent: str = "e2e"
    ) -> Answer:
        """A plain request; path and query are percent-encoded already. A body of bytes is a PNG."""
        picture = isinstance(body, bytes)
        headers = {
            "Host": self.host,
            "Authorization": self.authorization(method, path, body),
            "User-Agent": agent,
            "Content-Type": "image/png" if picture else "application/json",
        }
        data = body if picture or body is None else json.dumps(body)
        url = URL(f"http://{self.ingress}{path}", encoded=True)
        async with self._session.request(
            method, url, data=data, headers=headers, allow_redirects=False
        ) as answer:
            text = await answer.text(errors="replace")
        try:
            return Answer(answer.status, json.loads(text))
        except ValueError:
            return Answer(answer.status, text)
