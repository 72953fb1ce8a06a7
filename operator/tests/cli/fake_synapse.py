"""A homeserver in memory behind a controller in memory: enough to be probed.

Each group knows the paths that its classes have; the controller follows the table, but where a test
leads requests astray.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from aiohttp import web

from homeserver_operator.api.names import MAIN
from homeserver_operator.cli.edge import Edge
from homeserver_operator.cli.requests import Request, find

Astray = Callable[[Request], str | None]
"""Which group gets a request instead of the right one."""

NOBODY = "nobody"


class FakeSynapse:
    """The server; `logs` has the request log of each group, `received` what came in."""

    def __init__(self, edge: Edge, astray: Astray = lambda _: None) -> None:
        self.edge = edge
        self.astray = astray
        self.logs: dict[str, list[str]] = defaultdict(list)
        self.received: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.url = ""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> "FakeSynapse":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, incoming: web.Request) -> web.Response:
        self.received.append(incoming)
        self.bodies.append(await incoming.read())
        request = Request(incoming.method, incoming.path, tuple(incoming.query.items()))
        found = find(self.edge.told, request)
        right = found[0].groups[0] if found else MAIN
        group = self.astray(request) or right
        if group == NOBODY:
            return web.Response(status=404, text="default backend - 404")
        agent = incoming.headers["User-Agent"]
        self.logs[group].append(
            f'{{"log":"Processed request: 0.1sec 401 \\"{request} HTTP/1.1\\" \\"{agent}\\" '
            '[0 dbevts]"}'
        )
        # Main knows everything, and a worker what its own classes have.
        known = group in (MAIN, right)
        if not known or not re.fullmatch("GET|POST", request.method):
            return _error(405 if known else 404, "M_UNRECOGNIZED")
        return _error(401, "M_MISSING_TOKEN")


def _error(status: int, code: str) -> web.Response:
    body: dict[str, Any] = {"errcode": code, "error": "for the tests"}
    return web.json_response(body, status=status)
