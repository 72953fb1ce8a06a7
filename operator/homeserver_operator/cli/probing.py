"""Sends sample requests through a homeserver's way in. It reads statuses and error codes alone."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from homeserver_operator.cli.output import CliError
from homeserver_operator.cli.requests import Request
from homeserver_operator.cli.samples import Sample
from homeserver_operator.cli.verdicts import Answer

USER_AGENT: Final = "kubectl-homeserver"

AT_ONCE: Final = 4
"""Endpoints tried at the same time, so that a homeserver in use does not notice."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
_NO_BODY: Final = 1 << 16
"""Of an answer that is longer nothing is of interest."""

_NO_JSON: Final = b"this is not JSON, on purpose"
"""Whoever reads it before asking for credentials refuses it."""

_MARKS_PRESENCE: Final = re.compile(r".*/(sync|events|initialSync)")
"""With a token these would show its user as online, and take minutes for a large account."""


@dataclass(frozen=True)
class Prober:
    """Asks one homeserver. `run` marks the requests of this run, so that logs tell them apart."""

    session: aiohttp.ClientSession
    url: str
    host: str | None
    token: str | None
    tls: ssl.SSLContext | bool
    run: str
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def reach(self) -> None:
        """Raises CliError if there is nobody at all."""
        answer = await self._ask(Request("GET", "/_matrix/client/versions"), "reach")
        if not answer.status:
            raise CliError(
                f"{self.url} does not answer ({answer.error}): "
                "give the address of the homeserver's Ingress with --url and its name with --host"
            )

    async def all(self, samples: Iterable[Sample]) -> list[tuple[tuple[Answer, ...], ...]]:
        """The answers to every sample, by variant; nothing is tried after one that is known."""
        return await asyncio.gather(
            *(self._sample(number, sample) for number, sample in enumerate(samples))
        )

    async def _sample(self, number: int, sample: Sample) -> tuple[tuple[Answer, ...], ...]:
        tried: list[tuple[Answer, ...]] = []
        async with self._slots:
            for index, requests in enumerate(sample.variants):
                names = [f"{number}-{index}-{request.method}" for request in requests]
                pairs = zip(requests, names, strict=True)
                tried.append(tuple([await self._ask(request, name) for request, name in pairs]))
                if any(answer.known for answer in tried[-1]):
                    break
        return tuple(tried)

    async def _ask(self, request: Request, name: str) -> Answer:
        headers = {"User-Agent": f"{USER_AGENT}/{self.run}/{name}"}
        if self.host:
            headers["Host"] = self.host
        if self.token and request.method == "GET" and not _MARKS_PRESENCE.fullmatch(request.path):
            headers["Authorization"] = f"Bearer {self.token}"
        if request.method != "GET":
            headers["Content-Type"] = "application/json"
        try:
            async with self.session.request(
                request.method,
                f"{self.url}{request.target}",
                headers=headers,
                data=None if request.method == "GET" else _NO_JSON,
                allow_redirects=False,
                ssl=self.tls,
                server_hostname=self.host if self.url.startswith("https:") else None,
            ) as response:
                body = await response.content.read(_NO_BODY)
                return Answer(request, name, response.status, _errcode(body))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Answer(request, name, 0, None, str(error) or type(error).__name__)


def _errcode(body: bytes) -> str | None:
    """Matrix' error code, None if the body is not one of its errors."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    code = found.get("errcode") if isinstance(found, dict) else None
    return code if isinstance(code, str) else None


@asynccontextmanager
async def prober(
    url: str, *, host: str | None, token: str | None, ca_file: str | None, insecure: bool, run: str
) -> AsyncIterator[Prober]:
    """A prober with connections of its own; raises CliError."""
    try:
        trusted = ssl.create_default_context(cafile=ca_file) if ca_file else True
    except OSError as error:
        raise CliError(f"{ca_file}: {error}") from None
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        yield Prober(session, url.rstrip("/"), host, token, False if insecure else trusted, run)
