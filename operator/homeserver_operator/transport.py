"""One request to the API server: credentials, timeouts, throttling, errors and their count.

Stands on the official package's ApiClient for kubeconfig, tokens and TLS, with plain dicts and no
models. It knows nothing of kinds and verbs (see `cluster`), and never logs or quotes a body.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

from homeserver_operator.metrics import Metrics

USER_AGENT: Final = "homeserver-operator"
APPLY_PATCH: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON: Final = "application/json"

REQUEST_TIMEOUT: Final = 30.0
CONNECT_TIMEOUT: Final = 10.0
THROTTLED: Final = 429

T = TypeVar("T")

_ATTEMPTS: Final = 4
_LONGEST_PAUSE: Final = 30.0


class ApiError(Exception):
    """The API server said no, or nothing.

    `status` is the HTTP status code, 0 if there was no answer; `reason` is Kubernetes' word for
    it (such as "Conflict"), `message` its sentence, `fields` the fields that it names as causes.
    """

    def __init__(
        self, status: int, reason: str, message: str, *, fields: tuple[str, ...] = ()
    ) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.reason})"


@dataclass(frozen=True)
class Credentials:
    """How to reach and convince the API server, for a client that is not ours."""

    server: str
    ca_path: str | None
    certificate_path: str | None
    private_key_path: str | None
    authorization: str | None
    insecure: bool


@dataclass(frozen=True)
class Request:
    """One request. `verb` and `kind` are Kubernetes' words for it, `timeout` is in seconds."""

    method: str
    path: str
    verb: str
    kind: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    timeout: float = REQUEST_TIMEOUT


class Transport:
    """The connection to one API server; close it in the end."""

    def __init__(self, configuration: Any, metrics: Metrics) -> None:
        # Watches hold a connection each for ever; what may run at once is bounded where it runs.
        configuration.connection_pool_maxsize = 0
        self._configuration = configuration
        self._api = ApiClient(configuration)
        self._metrics = metrics

    @classmethod
    async def connect(cls, kubeconfig: str | None, metrics: Metrics) -> "Transport":
        """Load the kubeconfig, or the pod's service account (its token is read anew each minute).

        Raises kubernetes' ConfigException if neither is usable.
        """
        configuration = Configuration()
        if kubeconfig:
            await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            load_incluster_config(client_configuration=configuration)
        return cls(configuration, metrics)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def credentials(self) -> Credentials:
        """The same access for another client, with a token that is fresh now."""
        config = self._configuration
        return Credentials(
            server=config.host,
            ca_path=config.ssl_ca_cert,
            certificate_path=config.cert_file,
            private_key_path=config.key_file,
            authorization=await config.get_api_key_with_prefix("BearerToken", "authorization"),
            insecure=not config.verify_ssl,
        )

    async def send(self, request: Request) -> Any:
        """Send once and return the parsed JSON; raises ApiError."""
        try:
            response = await self._open(
                request, aiohttp.ClientTimeout(total=request.timeout, connect=CONNECT_TIMEOUT)
            )
            payload = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._count(request, 0)
            raise unreachable(request, error) from error
        self._count(request, response.status)
        if response.status >= 400:
            raise failure(request, response.status, payload, response.headers)
        try:
            return json.loads(payload)
        except ValueError as error:
            raise ApiError(0, "NotJSON", f"{request.verb} {request.kind}: no JSON") from error

    async def stream(self, request: Request, *, silence: float) -> aiohttp.ClientResponse:
        """Open an endless response; `silence` seconds without a byte end it. Raises ApiError."""
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=silence)
        try:
            response = await self._open(request, timeout)
            self._count(request, response.status)
            if response.status >= 400:
                payload = await response.read()
                raise failure(request, response.status, payload, response.headers)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._count(request, 0)
            raise unreachable(request, error) from error
        return response

    async def _open(
        self, request: Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        method, url, headers, body, _ = await self._api.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query),
            header_params={"Accept": request.accept, "Content-Type": request.content_type},
            auth_settings=["BearerToken"],
        )
        headers["User-Agent"] = USER_AGENT
        # The body goes past param_serialize, which would only copy it.
        answer = await self._api.call_api(
            method, url, headers, request.body or body, _request_timeout=limits
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    def _count(self, request: Request, code: int) -> None:
        self._metrics.api_requests.labels(request.verb, request.kind, str(code)).inc()


class ThrottledError(ApiError):
    """429: not processed at all, to be sent again after `pause` seconds."""

    def __init__(self, message: str, pause: float) -> None:
        super().__init__(THROTTLED, "TooManyRequests", message)
        self.pause = pause


async def patiently(send: Callable[[], Awaitable[T]]) -> T:
    """Call `send` again as long as the API server throttles, at its pace, a bounded time.

    Only what was never processed is repeated, so this is right for writes too.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return await send()
        except ThrottledError as throttled:
            await asyncio.sleep(throttled.pause * random.uniform(1.0, 1.2))  # noqa: S311 - jitter
    return await send()


def failure(request: Request, status: int, payload: bytes, headers: Mapping[str, str]) -> ApiError:
    """The ApiError for an answer, without anything that a Secret's validation may quote."""
    try:
        answer = json.loads(payload)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    details = answer.get("details") or {}
    fields = tuple(str(c["field"]) for c in details.get("causes") or () if c.get("field"))
    reason = str(answer.get("reason") or "Unknown")
    if request.kind == "Secret":
        message = f"refused, fields: {', '.join(fields) or 'none named'}"
    else:
        message = str(answer.get("message") or f"{request.method} {request.path}")
    if status == THROTTLED:
        return ThrottledError(message, _pause(headers.get("Retry-After")))
    return ApiError(status, reason, message, fields=fields)


def unreachable(request: Request, error: Exception) -> ApiError:
    """The ApiError for no answer."""
    reason = "Timeout" if isinstance(error, TimeoutError) else "Unreachable"
    return ApiError(0, reason, f"{request.verb} {request.kind}: {error or type(error).__name__}")


def _pause(retry_after: str | None) -> float:
    if retry_after is None or not retry_after.isdigit():
        return 1.0
    return min(max(float(retry_after), 0.1), _LONGEST_PAUSE)
