"""The HTTP session that kopf asks the API server through, and what its requests come to.

kopf says only in its log which of them fail, and which of its watches are open it tells nobody.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import aiohttp
import kopf
from yarl import URL

from homeserver_operator.transport import Credentials

Tell = Callable[[str | None, str | None], None]
"""Called with a namespace (None: all) and what keeps it from being watched (None: nothing)."""


def open_session(credentials: Credentials, trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    """Open a session as kopf would, but for the trace."""
    scheme, _, token = (credentials.authorization or "").partition(" ")
    connection = kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.private_key_path,
        insecure=credentials.insecure,
        scheme=scheme or None,
        token=token or None,
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.as_ssl_context()),
        headers=connection.as_http_headers(),
        trace_configs=[trace],
    )


def follow(paths: Mapping[str, str | None], tell: Tell) -> aiohttp.TraceConfig:
    """Tell of every request for one of the paths, each of which lists a namespace.

    A list that fails is in the way of the watch; only an open watch is one.
    """

    def found(url: URL, problem: str | None) -> None:
        for path, namespace in paths.items():
            # The API server may be known under a prefix.
            if url.path.endswith(path) and (problem or "watch" in url.query):
                tell(namespace, problem)

    async def answered(
        _: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        status, reason = request.response.status, request.response.reason
        found(request.url, f"{status} {reason}" if status >= 400 else None)

    async def unanswered(
        _: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestExceptionParams
    ) -> None:
        # Cancelled is what kopf does not want any longer.
        if not isinstance(request.exception, asyncio.CancelledError):
            found(request.url, str(request.exception) or type(request.exception).__name__)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(unanswered)
    return trace
