"""`kubectl homeserver verify` against real Synapse: what it finds, and that it changes nothing."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from tests.processes import RuntimeProcess, Site, ending
from tests.services import LOOPBACK, wait_until
from tests.shell.fake_api import FakeApi
from tests.shell.objects import pod

from e2e.cluster.ports import free_port
from homeserver_operator.api import names
from homeserver_operator.api.names import MAIN
from homeserver_operator.api.spec import parse
from homeserver_operator.cli.__main__ import main
from homeserver_operator.cli.edge import Edge, make_edge
from homeserver_operator.cli.requests import Request, find

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]

GENERIC = "generic"

HOMESERVER = {
    "apiVersion": "homeserver-operator.io/v1alpha1",
    "kind": "HomeServer",
    "metadata": {"name": "birch", "namespace": "meadow"},
    "spec": {
        "serverName": "test.example",
        "workers": [
            {
                "name": GENERIC,
                "replicas": 1,
                "serves": [
                    "sync", "initialSync", "client", "encryption", "eventSending", "pagination",
                    "login", "accountData", "userDirectory", "federation", "federationInbound",
                ],
            }
        ],
    },
}  # fmt: skip
"""Everything that needs no stream or media repository is the worker's."""

IDLE = re.compile(".*(lock|position|stream_pos|background_updates|scheduled).*")
"""Tables that Synapse writes to when nobody asks for anything."""


class Controller:
    """An Ingress controller that follows the table; `broken` sends everything to the worker."""

    def __init__(self, edge: Edge, processes: dict[str, RuntimeProcess]) -> None:
        self.edge, self.processes, self.broken, self.url = edge, processes, False, ""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def __aenter__(self) -> "Controller":
        self._session = aiohttp.ClientSession()
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, incoming: web.Request) -> web.Response:
        request = Request(incoming.method, incoming.path, tuple(incoming.query.items()))
        found = find(self.edge.told, request)
        group = GENERIC if self.broken else found[0].groups[0] if found else MAIN
        async with self._session.request(
            incoming.method,
            f"http://{LOOPBACK}:{self.processes[group].client_port}{incoming.path_qs}",
            headers=incoming.headers,
            data=await incoming.read(),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            return web.Response(status=answer.status, body=body)


@pytest.fixture
def processes(site: Site) -> Iterator[dict[str, RuntimeProcess]]:
    """Main and one generic worker, with every listener that the operator gives them."""
    replication = {"main": free_port()}
    found = {
        MAIN: site.write("main", role="main", replication_ports=replication),
        GENERIC: site.write(GENERIC, replication_ports=replication),
    }
    for name, process in found.items():
        file = process.directory / "homeserver.yaml"
        settings = yaml.safe_load(file.read_text())
        listeners = settings["listeners" if name == MAIN else "worker_listeners"]
        listeners[0]["resources"] = [{"names": ["client", "federation"]}]
        if name == MAIN:
            settings |= {"enable_media_repo": True, "media_store_path": str(site.directory)}
        # Whoever may register is the one case in which Synapse writes before it knows who asks.
        settings |= {"enable_registration": True, "enable_registration_without_verification": True}
        settings |= {"background_updates": {"sleep_enabled": False}}
        file.write_text(yaml.safe_dump(settings))
    with ending(*found.values()):
        for process in found.values():
            process.start()
        for process in found.values():
            process.wait_ready()
        yield found


@pytest.fixture
async def controller(
    processes: dict[str, RuntimeProcess], api: FakeApi
) -> AsyncIterator[Controller]:
    edge = make_edge(parse(HOMESERVER))
    await api.put(HOMESERVER)
    for group in processes:
        found = pod(f"birch-{group}", "10.0.0.1", role="main" if group == MAIN else "worker")
        found["metadata"]["namespace"] = "meadow"
        found["metadata"]["labels"] |= {
            names.HOMESERVER_LABEL: "birch", names.WORKER_GROUP_LABEL: group,
        }  # fmt: skip
        await api.put(found)
    async with Controller(edge, processes) as front:
        yield front


async def verify(controller: Controller, api: FakeApi, kubeconfig: Path) -> int:
    arguments = ["verify", "birch", "--url", controller.url, "-o", "json"]
    running = asyncio.create_task(
        asyncio.to_thread(main, [*arguments, "--kubeconfig", str(kubeconfig)])
    )
    while not running.done():
        for group, process in controller.processes.items():
            api.logs[f"birch-{group}"] = process.log
        await asyncio.wait([running], timeout=0.5)
    return running.result()


def is_set_up(site: Site) -> bool:
    """Whether Synapse is done with what it does to a new database."""
    return bool(site.query("SELECT count(*) = 0 FROM background_updates")[0])


def content(site: Site) -> dict[str, str]:
    """A hash of every table that holds something of users or of other servers."""
    listed = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'"
    tables = sorted(t for t in str(site.query(listed)[0]).split() if not IDLE.fullmatch(t))
    hashes = " || ' ' || ".join(
        f"(SELECT coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '-') FROM {table} t)"  # noqa: S608 - names from PostgreSQL itself
        for table in tables
    )
    return dict(zip(tables, str(site.query(f"SELECT {hashes}")[0]).split(), strict=True))


async def test_a_homeserver_whose_requests_go_where_they_belong(
    site: Site,
    controller: Controller,
    api: FakeApi,
    kubeconfig: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await asyncio.to_thread(wait_until, lambda: is_set_up(site), what="Synapse's first updates")
    before = content(site)

    status = await verify(controller, api, kubeconfig)

    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    wrong = [e for e in found["endpoints"] if e["verdict"] != "ok"]
    # Experiments and single sign-on, of which this homeserver has none.
    assert {e["verdict"] for e in wrong} == {"off"}, wrong
    assert all("/unstable/" in e["path"] or e["class"] == "sso" for e in wrong), wrong
    assert status == 0
    assert all(e["answered"] == e["expected"] for e in found["endpoints"])
    assert content(site) == before

    controller.broken = True
    assert await verify(controller, api, kubeconfig) == 1
    found = json.loads(capsys.readouterr().out)
    wrong = [e for e in found["endpoints"] if e["verdict"] not in {"ok", "off"}]
    assert {e["class"] for e in wrong} >= {"main", "media", "typing", "push-rules", "receipts"}
    assert content(site) == before
