"""What real Synapse gives up while main is without its database goes on when that is back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web
from tests.held import terminate
from tests.matrix import Client, register
from tests.processes import ending
from tests.remote import Remote
from tests.services import LOOPBACK, wait_until

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]

GATEWAY = "/_matrix/push/v1/notify"


@contextlib.asynccontextmanager
async def push_gateway() -> AsyncIterator[tuple[str, list[str]]]:
    """Its URL, and the events of which it has been told."""
    events: list[str] = []

    async def notify(request: web.Request) -> web.Response:
        events.append((await request.json())["notification"].get("event_id"))
        return web.json_response({"rejected": []})

    application = web.Application()
    application.router.add_post(GATEWAY, notify)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield f"http://{LOOPBACK}:{port}{GATEWAY}", events
    finally:
        await runner.cleanup()


class Way:
    """Main's way to the database, which can be closed: it has a role of its own there."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.role = f"main_{free_port()}"
        site.postgres.execute(
            f"CREATE ROLE {self.role} LOGIN SUPERUSER PASSWORD '{_quoted(site.postgres.password)}'"
        )

    def close(self) -> None:
        self._site.postgres.execute(f"ALTER ROLE {self.role} NOLOGIN")
        terminate(self._site.postgres, self._site.database, f"usename = '{self.role}'")

    def open(self) -> None:
        self._site.postgres.execute(f"ALTER ROLE {self.role} LOGIN")


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def processes(site: Site, way: Way) -> tuple[RuntimeProcess, RuntimeProcess]:
    """Main, and a persister that serves clients."""
    ports = {"main": free_port(), "persister-0": free_port()}
    main, persister = (
        site.write(
            name,
            role="main" if name == "main" else "worker",
            settings={"ip_range_blacklist": []},
            launcher={"fences": {"topology": 1}},
            replication_ports=ports,
            serves=("client", "federation"),
        )
        for name in ports
    )
    username = main.directory / "username"
    username.write_text(f"{way.role}\n")
    launcher = yaml.safe_load((main.directory / "launcher.yaml").read_text())
    launcher["database"]["username_file"] = str(username)
    (main.directory / "launcher.yaml").write_text(yaml.safe_dump(launcher))
    return main, persister


def updates_left(site: Site) -> int:
    return int(site.query("SELECT count(*) FROM background_updates")[0])


def pusher(url: str) -> dict[str, Any]:
    return {
        "kind": "http",
        "app_id": "org.example.test",
        "app_display_name": "test",
        "device_display_name": "phone",
        "pushkey": "key",
        "lang": "en",
        "data": {"url": url, "format": "event_id_only"},
    }


async def until(condition: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """While this process answers requests."""
    await asyncio.to_thread(wait_until, condition, what=what, seconds=seconds)


async def test_pushes_and_background_updates_go_on(site: Site) -> None:
    way = Way(site)
    main, persister = processes(site, way)
    async with push_gateway() as (url, events), contextlib.AsyncExitStack() as stack:
        stack.enter_context(ending(main, persister))
        for process in (main.start(), persister.start()):
            process.wait_ready()
        talks, listens = [await register(main.client_port) for _ in range(2)]
        talker, listener, at_main = [
            await stack.enter_async_context(Client(process.client_port, token))
            for process, token in ((persister, talks), (persister, listens), (main, listens))
        ]
        room = await talker.create_room(preset="public_chat")
        await listener.request("POST", f"join/{room}", json={})
        await at_main.request("POST", "pushers/set", json=pusher(url))
        first = await talker.send(room, "before")
        await until(lambda: events == [first], "the first push")

        way.close()
        await until(lambda: "background update failures; aborting" in main.log, "Synapse to end it")
        second = await talker.send(room, "meanwhile")
        await until(
            lambda: "Exception in pusher on_new_notifications" in main.log, "a look in vain"
        )
        left = updates_left(site)
        assert left
        way.open()
        await until(lambda: events == [first, second], "the second push")
        await until(lambda: updates_left(site) < left, "the next background update")


async def test_events_of_others_wait_for_no_lock_that_nobody_holds(site: Site) -> None:
    """A lock that could not be released counts as held, and for two minutes as valid."""
    way = Way(site)
    main, persister = processes(site, way)
    with ending(main, persister):
        for process in (main.start(), persister.start()):
            process.wait_ready()
        remote = Remote(site, main.client_port)
        async with Client(persister.client_port, await register(main.client_port)) as alice:
            messages = await remote.meet(alice)
        persister.signal(signal.SIGSTOP)
        await remote.send(messages(3))
        way.close()
        persister.signal(signal.SIGCONT)
        await until(lambda: "_process_incoming_pdus_in_room_inner' threw" in main.log, "a failure")
        assert staged(site)
        way.open()
        # Long before Synapse looks again, each minute.
        await until(lambda: not staged(site), "all of them to be handled", seconds=20)


def staged(site: Site) -> int:
    return int(site.query("SELECT count(*) FROM federation_inbound_events_staging")[0])
