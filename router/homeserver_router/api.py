"""Requests to the API server, as few kinds as there are rights: see README.md.

Reads the token anew for each request, because it rotates. Never logs or quotes it.
"""

from __future__ import annotations

import json
import ssl
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from homeserver_router.metrics import Metrics
    from homeserver_router.settings import Settings

Object = dict[str, Any]

REQUEST_SECONDS: Final = 10.0
WATCH_SECONDS: Final = 300
"""After this time the API server ends a watch, so that a connection never grows old."""
WATCH_SILENCE: Final = 90.0
"""Bookmarks come about once a minute: a watch without a byte for longer is dead."""

GONE: Final = 410
CONFLICT: Final = 409

PAGE: Final = "500"


class ApiError(Exception):
    """The API server said no (`status`), or nothing (0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API server, for one namespace; a context manager."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        authority = self._settings.credentials / "ca.crt"
        tls = self._settings.server.startswith("https:")
        context = ssl.create_default_context(cafile=str(authority)) if tls else False
        self._session = aiohttp.ClientSession(
            base_url=self._settings.server,
            connector=aiohttp.TCPConnector(ssl=context),
            headers={"User-Agent": "homeserver-router", "Accept": "application/json"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def get(self, kind: str, name: str) -> Object:
        """One object."""
        return await self._send("GET", "get", kind, self._path(kind, name))

    async def list(self, kind: str, query: Mapping[str, str]) -> tuple[list[Object], str]:
        """All objects of a kind, and the version to watch from."""
        items: list[Object] = []
        token = ""
        while True:
            page = {**query, "limit": PAGE, **({"continue": token} if token else {})}
            answer = await self._send("GET", "list", kind, self._path(kind), query=page)
            items += answer.get("items") or ()
            token = answer["metadata"].get("continue") or ""
            if not token:
                return items, str(answer["metadata"]["resourceVersion"])

    async def watch(
        self, kind: str, query: Mapping[str, str], version: str
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """The changes since a version, bookmarks too, until the API server ends the stream."""
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            "resourceVersion": version,
        }
        limits = aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=WATCH_SILENCE)
        stream = self._stream(kind, asked, limits)
        async with aclosing(stream):
            async for line in stream:
                try:
                    event = json.loads(line)
                except ValueError as error:
                    raise self._failure(0, "watch", kind, error) from error
                if event["type"] == "ERROR":
                    code = int(event["object"].get("code") or 500)
                    self._metrics.api_errors.labels("watch", kind, str(code)).inc()
                    raise ApiError(code, f"watch {kind}: {event['object'].get('reason')}")
                yield event["type"], event["object"]

    async def merge(self, kind: str, name: str, patch: Object) -> Object:
        """Merge into an object; with a resourceVersion in it ApiError 409 if it has changed."""
        return await self._send("PATCH", "patch", kind, self._path(kind, name), body=patch)

    async def _stream(
        self, kind: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> AsyncGenerator[bytes, None]:
        assert self._session is not None  # noqa: S101 - entered
        try:
            async with self._session.get(
                self._path(kind), params=query, headers=self._authorization(), timeout=limits
            ) as response:
                if response.status >= 400:
                    raise self._failure(response.status, "watch", kind)
                async for line in _lines(response):
                    yield line
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(0, "watch", kind, error) from error

    async def _send(
        self,
        method: str,
        verb: str,
        kind: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> Object:
        assert self._session is not None  # noqa: S101 - entered
        headers = self._authorization()
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
        try:
            async with self._session.request(
                method,
                path,
                params=query,
                data=None if body is None else json.dumps(body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            ) as response:
                payload = await response.read()
                if response.status >= 400:
                    raise self._failure(response.status, verb, kind)
                answer: Object = json.loads(payload)
                return answer
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(0, verb, kind, error) from error

    def _failure(
        self, status: int, verb: str, kind: str, error: Exception | None = None
    ) -> ApiError:
        self._metrics.api_errors.labels(verb, kind, str(status)).inc()
        what = f"{error or type(error).__name__}" if error else f"the API server says {status}"
        return ApiError(status, f"{verb} {kind}: {what}")

    def _path(self, kind: str, *name: str) -> str:
        group = "apis/discovery.k8s.io/v1" if kind == "endpointslices" else "api/v1"
        return "/".join(("", group, "namespaces", self._settings.namespace, kind, *name))

    def _authorization(self) -> dict[str, str]:
        try:
            token = (self._settings.credentials / "token").read_text(encoding="ascii").strip()
        except OSError as error:
            raise ApiError(
                0, f"cannot read the service account's token: {error.strerror}"
            ) from None
        return {"Authorization": f"Bearer {token}"}


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The lines of a body, however long: an EndpointSlice can be larger than a reader's limit."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
