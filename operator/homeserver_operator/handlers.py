"""kopf, and all of it: it watches the HomeServers and wakes the queue.

Only `on.event`, so kopf writes nothing: no annotation, finalizer or event. It runs in a thread with
an event loop of its own, because it cancels every task of its loop when it ends and takes the
process's signals when it runs in the main thread. By itself it gives up, for all namespaces, when
one of them cannot be watched for a while, and looks only once whether there is such a thing as a
HomeServer: so its patience is made endless, and it is started anew where that does not help.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import kopf
from kopf._cogs.structs.references import Insights

from homeserver_operator.api import names
from homeserver_operator.api.world import Key
from homeserver_operator.kopf_settings import settings
from homeserver_operator.pauses import PATIENT, Pauses
from homeserver_operator.resources import HOMESERVER, path_of
from homeserver_operator.session import follow, open_session
from homeserver_operator.transport import Credentials
from homeserver_operator.watched import Watched

STOP_TIMEOUT: Final = 5.0
END_TIMEOUT: Final = 30.0
"""Seconds that an ending kopf may take; without bound it could wait for its own tasks for ever."""

RELOGIN_PAUSE: Final = 1.0
"""Seconds before new credentials are handed out: refused ones must not make a busy loop."""

Wake = Callable[[Key, bool], None]
"""Called with the key of a changed HomeServer and whether it waits for an answer to an edit."""


def is_fresh(body: Any, event: str | None) -> bool:
    """Whether somebody waits for an answer: an edit that the status has not seen yet."""
    if event == "DELETED":
        return False
    observed = (body.get("status") or {}).get("observedGeneration")
    return bool(observed != body["metadata"].get("generation"))


class UndiscoveredError(Exception):
    """The API server's discovery does not list HomeServers: the CRD is missing, or very new."""

    def __init__(self) -> None:
        super().__init__("the API server does not know HomeServers (is the CRD there?)")


class HangingError(Exception):
    """kopf does not come to its end, so no other one can take its place in this process."""

    def __init__(self) -> None:
        super().__init__("kopf hangs in its end")


class HomeServerWatch:
    """kopf in its thread. `wake` is called in the event loop that `start` was called in."""

    def __init__(
        self,
        *,
        wake: Wake,
        credentials: Callable[[], Awaitable[Credentials]],
        namespaces: tuple[str, ...],
        watched: Watched,
        pauses: Pauses = PATIENT,
    ) -> None:
        self._wake = wake
        self._credentials = credentials
        self._namespaces = namespaces
        self._watched = watched
        self._pauses = pauses
        self._paths = {path_of(HOMESERVER, each): each for each in namespaces or (None,)}
        self._sessions: list[aiohttp.ClientSession] = []
        self._ours = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._ours.create_future()
        self._kopfs: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    async def run(self) -> None:
        """Watch until cancelled; raises what is wrong with our own part in it."""
        self._thread.start()
        try:
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            await self._end()
            raise

    def registry(self) -> kopf.OperatorRegistry:
        """All handlers that kopf knows."""
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
        async def login(**_: Any) -> kopf.AiohttpSession:
            if self._sessions:
                await asyncio.sleep(RELOGIN_PAUSE)
            future = asyncio.run_coroutine_threadsafe(self._fresh_credentials(), self._ours)
            credentials = await asyncio.wrap_future(future)
            session = open_session(credentials, follow(self._paths, self._tell))
            self._sessions.append(session)
            return kopf.AiohttpSession(server=credentials.server, aiohttp_session=session)

        @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)  # type: ignore[untyped-decorator]
        async def changed(namespace: str, name: str, body: kopf.Body, **kwargs: Any) -> None:
            fresh = is_fresh(body, kwargs["type"])
            self._ours.call_soon_threadsafe(self._wake, Key(namespace, name), fresh)

        @kopf.on.cleanup(registry=registry)  # type: ignore[untyped-decorator]
        async def end_watches(**_: Any) -> None:
            # When one watch fails, kopf only later cancels the others, and together with what they
            # wait for: then they take it for a pause, and kopf waits for them for ever.
            watches = [t for t in asyncio.all_tasks() if t.get_name().startswith("watcher for ")]
            for watch in watches:
                watch.cancel()
            if watches:
                await asyncio.wait(watches, timeout=STOP_TIMEOUT)
            self._ending.set()

        return registry

    async def _fresh_credentials(self) -> Credentials:
        return await self._credentials()

    async def _end(self) -> None:
        if self._kopfs is not None and self._stop is not None and self._thread.is_alive():
            self._kopfs.call_soon_threadsafe(self._stop.set)
        await asyncio.wait([self._ended], timeout=STOP_TIMEOUT)

    # What follows runs in kopf's thread.

    def _tell(self, namespace: str | None, problem: str | None) -> None:
        self._ours.call_soon_threadsafe(self._watched.tell, namespace, problem)

    def _run(self) -> None:
        asyncio.run(self._report())

    async def _report(self) -> None:
        """Have `run` end as the watching ends, though kopf's tasks may be left and never end."""
        error: Exception | None = None
        try:
            await self._keep_watching()
        except Exception as caught:  # noqa: BLE001 - handed over to whoever awaits `run`
            error = caught
        self._ours.call_soon_threadsafe(self._conclude, error)

    def _conclude(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def _keep_watching(self) -> None:
        """Start kopf again whenever it ends, which lists everything anew, until told to stop."""
        self._kopfs, stop = asyncio.get_running_loop(), asyncio.Event()
        self._stop = stop
        pauses = iter(self._pauses)
        while not stop.is_set():
            started = self._kopfs.time()
            try:
                await self._operate(stop)
            except UndiscoveredError as error:
                self._ours.call_soon_threadsafe(self._watched.tell_all, str(error))
            except HangingError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would watch
                self._ours.call_soon_threadsafe(self._watched.tell_all, f"kopf ended: {error!r}")
            if self._kopfs.time() - started > self._pauses.last:
                pauses = iter(self._pauses)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), next(pauses))

    async def _operate(self, stop: asyncio.Event) -> None:
        """Run one kopf until `stop` is set; raises what ended it before."""
        insights, over, self._ending = Insights(), asyncio.Event(), asyncio.Event()
        # Older than kopf's tasks, because kopf in the end cancels those that are younger.
        stopped, ending, discovered = (
            asyncio.create_task(event.wait())
            for event in (stop, self._ending, insights.ready_resources)
        )
        operating = asyncio.create_task(
            kopf.operator(
                registry=self.registry(),
                settings=settings(self._pauses),
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                insights=insights,
                stop_flag=over,
            )
        )
        try:
            await _first(operating, ending, stopped, discovered)
            # kopf does not look again, and would watch nothing for ever.
            blind = discovered.done() and not insights.watched_resources
            if not blind:
                await _first(operating, ending, stopped)
            early = not blind and not stopped.done()
            over.set()
            if not (await asyncio.wait({operating}, timeout=END_TIMEOUT))[0]:
                raise HangingError
            await operating
        finally:
            for waiting in (stopped, ending, discovered):
                waiting.cancel()
            for session in self._sessions:
                await session.close()
            self._sessions.clear()
        if blind:
            raise UndiscoveredError
        if early:
            msg = "it said nothing"
            raise RuntimeError(msg)


async def _first(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
