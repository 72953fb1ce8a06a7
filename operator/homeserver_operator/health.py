"""The operator's own HTTP endpoints: /healthz, /readyz and /metrics.

Reads what it is given, changes nothing. No names of HomeServers beyond the metrics' labels.
"""

from collections.abc import Callable

from aiohttp import web

from homeserver_operator.metrics import CONTENT_TYPE, Metrics

Check = Callable[[], str | None]
"""None if all is well, else what is wrong."""


class HealthServer:
    """Serves from `start` until `close`."""

    def __init__(self, metrics: Metrics, *, live: Check, ready: Check, port: int) -> None:
        self._metrics = metrics
        self._live = live
        self._ready = ready
        self._port = port
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._exposition)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Bind on all addresses and serve; raises OSError if the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, port=self._port)
        await site.start()

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._live())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _exposition(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE}
        return web.Response(body=self._metrics.exposition(), headers=headers)


def _answer(problem: str | None) -> web.Response:
    return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)
