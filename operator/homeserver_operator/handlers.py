"""kopf, and all of it: it watches the HomeServers and wakes the queue.

Only `on.event`, so kopf writes nothing: no annotation, finalizer or event. It runs in a thread with
an event loop of its own, because it cancels every task of its loop when it ends and takes the
process's signals when it runs in the main thread.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

import kopf

from homeserver_operator.api import names
from homeserver_operator.api.world import Key
from homeserver_operator.transport import Credentials

STOP_TIMEOUT: Final = 5.0
PAGE: Final = 50

Wake = Callable[[Key, bool], None]
"""Called with the key of a changed HomeServer and whether it waits for an answer to an edit."""

log = logging.getLogger(__name__)


def settings() -> kopf.OperatorSettings:
    """Settings for kopf; every line has its reason."""
    configured = kopf.OperatorSettings()
    # Leadership is our own Lease: peering freezes everybody at equal priorities (kopf#1266).
    configured.peering.standalone = True
    # Events come from transitions of our conditions.
    configured.posting.enabled = False
    # Without this, namespaced Roles do not suffice: it lists namespaces and CRDs (kopf#1184).
    configured.scanning.disabled = True
    # An unpaged list of all HomeServers is parsed at once and makes the peak of memory.
    configured.watching.chunk_size = PAGE
    # Sent to the API server as text, so it must be whole.
    configured.watching.server_timeout = 300
    configured.watching.client_timeout = 310
    configured.watching.connect_timeout = 10
    configured.networking.request_timeout = 30
    # An idle worker per object would be kept for 5 s; a worker_limit on top makes starts crawl.
    configured.queueing.idle_timeout = 0.2
    # Ending is for us to decide, never by SIGKILL.
    configured.process.ultimate_exiting_timeout = None
    # Never used with on.event; named in case it ever is.
    configured.persistence.finalizer = f"{names.GROUP}/finalizer"
    return configured


def is_fresh(body: Any, event: str | None) -> bool:
    """Whether somebody waits for an answer: an edit that the status has not seen yet."""
    if event == "DELETED":
        return False
    observed = (body.get("status") or {}).get("observedGeneration")
    return bool(observed != body["metadata"].get("generation"))


class HomeServerWatch:
    """kopf in its thread. `wake` is called in the event loop that `start` was called in."""

    def __init__(
        self,
        *,
        wake: Wake,
        credentials: Callable[[], Awaitable[Credentials]],
        namespaces: tuple[str, ...],
    ) -> None:
        self._wake = wake
        self._credentials = credentials
        self._namespaces = namespaces
        self._ours = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._ours.create_future()
        self._kopfs: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    async def run(self) -> None:
        """Run kopf until it ends, which it only does when something is wrong, or until cancelled.

        Raises RuntimeError if it ends.
        """
        self._thread.start()
        try:
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            await self._end()
            raise
        msg = "kopf ended by itself"
        raise RuntimeError(msg)

    def registry(self) -> kopf.OperatorRegistry:
        """The two handlers that kopf knows."""
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
        async def login(**_: Any) -> kopf.ConnectionInfo:
            future = asyncio.run_coroutine_threadsafe(self._fresh_credentials(), self._ours)
            return _connection(await asyncio.wrap_future(future))

        @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)  # type: ignore[untyped-decorator]
        async def changed(namespace: str, name: str, body: kopf.Body, **kwargs: Any) -> None:
            fresh = is_fresh(body, kwargs["type"])
            self._ours.call_soon_threadsafe(self._wake, Key(namespace, name), fresh)

        return registry

    async def _fresh_credentials(self) -> Credentials:
        return await self._credentials()

    async def _end(self) -> None:
        if self._kopfs is not None and self._stop is not None and self._thread.is_alive():
            self._kopfs.call_soon_threadsafe(self._stop.set)
        await asyncio.wait([self._ended], timeout=STOP_TIMEOUT)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except Exception as caught:  # noqa: BLE001 - handed over to whoever awaits `run`
            error = caught
        self._ours.call_soon_threadsafe(self._report, error)

    def _report(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def _operate(self) -> None:
        self._kopfs, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await kopf.operator(
            registry=self.registry(),
            settings=settings(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )


def _connection(credentials: Credentials) -> kopf.ConnectionInfo:
    scheme, _, token = (credentials.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.private_key_path,
        insecure=credentials.insecure,
        scheme=scheme or None,
        token=token or None,
    )
