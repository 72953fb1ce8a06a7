"""What real Synapse gives up while main is without its database goes on when that is back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from tests.bridge import bridge
from tests.matrix import Client, register
from tests.processes import ending
from tests.remote import Remote
from tests.served import served
from tests.services import LOOPBACK, until
from tests.way import Way

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]

ANYWHERE: dict[str, Any] = {"ip_range_blacklist": []}
"""Requests go to addresses of this machine, too."""

LOOK = "notify_interested_services"
"""For what concerns application services."""

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
    async with served(application) as url:
        yield f"{url}{GATEWAY}", events


class Gate:
    """A way to PostgreSQL; once it is shut, who comes is let in and then hears nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._shut = False
        self.passing: list[asyncio.StreamWriter] = []
        """The first of them is the fences' own."""
        self.held: list[asyncio.StreamWriter] = []

    async def come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            self.held.append(writer)
            return
        server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._port)
        self.passing.append(writer)
        try:
            await asyncio.gather(_pass(reader, server_writer), _pass(server_reader, writer))
        finally:
            self.passing.remove(writer)

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        """For who comes from now on."""
        self._shut = False

    def close(self) -> None:
        cut(*self.passing, *self.held)


def cut(*connections: asyncio.StreamWriter) -> None:
    for connection in connections:
        connection.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def gate(site: Site) -> AsyncIterator[tuple[Gate, int]]:
    """It, and its port."""
    way, port = Gate(site.postgres.port), free_port()
    server = await asyncio.start_server(way.come, LOOPBACK, port)
    try:
        yield way, port
    finally:
        way.close()
        server.close()
        await server.wait_closed()


def at_work(process: RuntimeProcess, *names: str) -> bool:
    """Whether one of Synapse's background processes runs."""
    return any(
        process.metric("synapse_background_process_in_flight_count", name) > 0 for name in names
    )


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


async def test_pushes_and_background_updates_go_on(site: Site) -> None:
    way = Way(site)
    main, persister = site.write_fenced("main", "persister-0", settings=ANYWHERE)
    way.lead(main)
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


async def test_a_look_that_began_before_the_end_and_fails_after_it_is_made_again(
    site: Site,
) -> None:
    """Who was still looking for what is new when the rest was told to do so has not seen it."""
    async with (
        bridge(site) as receiver,
        gate(site) as (way, port),
        contextlib.AsyncExitStack() as stack,
    ):
        main, persister = site.write_fenced(
            "main", "persister-0",
            settings={"app_service_config_files": [str(receiver.registration)]},
            main_settings={"database": {"args": {"port": port}}},
        )  # fmt: skip
        stack.enter_context(ending(main, persister))
        for process in (main.start(), persister.start()):
            await asyncio.to_thread(process.wait_ready)
        talks = await register(main.client_port)
        talker = await stack.enter_async_context(Client(persister.client_port, talks))
        room = await talker.create_room()
        first = await talker.send(room, "before")
        await until(lambda: first in receiver.events, "the first event")

        await until(lambda: not at_work(main, LOOK, "as-sender"), "main to have ended with that")
        way.shut()
        fences, *pooled = way.passing
        cut(*pooled)
        second = await talker.send(room, "meanwhile")
        # The other looks that main begins now go the same way, in no order.
        await until(lambda: len(way.held) >= 4 and at_work(main, LOOK), "a look")
        way.open()
        cut(fences)
        await until(lambda: second in receiver.events, "the second event")


async def test_events_of_others_wait_for_no_lock_that_nobody_holds(site: Site) -> None:
    """A lock that could not be released counts as held, and for two minutes as valid."""
    way = Way(site)
    serves = ("client", "federation")
    main, persister = site.write_fenced("main", "persister-0", settings=ANYWHERE, serves=serves)
    way.lead(main)
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
