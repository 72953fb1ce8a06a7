"""No event is lost on its way from real Synapse to an application service."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from typing import TYPE_CHECKING

import pytest
from tests.bridge import Bridge, bridge
from tests.matrix import Client, register
from tests.processes import ending
from tests.services import LOOPBACK, until
from tests.way import Way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]


_LOOKS = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%FROM appservice_stream_position%'
"""


@dataclasses.dataclass(frozen=True)
class Talk:
    """Somebody talks at a persister, and main sends it on."""

    main: RuntimeProcess
    way: Way
    bridge: Bridge
    talker: Client
    room: str

    async def say(self, *words: str) -> list[str]:
        return [await self.talker.send(self.room, word) for word in words]


@pytest.fixture
async def talk(site: Site) -> AsyncIterator[Talk]:
    way = Way(site)
    async with bridge(site) as receiver, contextlib.AsyncExitStack() as stack:
        settings = {"app_service_config_files": [str(receiver.registration)]}
        main, persister = site.write_fenced("main", "persister-0", settings=settings)
        way.lead(main)
        stack.enter_context(ending(main, persister))
        for process in (main.start(), persister.start()):
            await asyncio.to_thread(process.wait_ready)
        token = await register(main.client_port)
        talker = await stack.enter_async_context(Client(persister.client_port, token))
        talks = Talk(main, way, receiver, talker, await talker.create_room())
        (first,) = await talks.say("first")
        await until(lambda: first in receiver.events, "the first event")
        yield talks
        receiver.answers.set()


async def _held(talk: Talk) -> list[str]:
    """An event that the application service has not said to have, and some behind it."""
    talk.bridge.answers.clear()
    under_way = await talk.say("under way")
    await until(lambda: under_way[0] in talk.bridge.events, "what is under way")
    behind = await talk.say("behind it", "and behind that")
    await until(lambda: _position(talk) >= 3 + len(talk.bridge.events), "the rest to be taken up")
    return under_way + behind


def _position(talk: Talk) -> float:
    return talk.main.metric("synapse_event_processing_positions", "appservice_sender")


def _noted(site: Site) -> int:
    (position,) = site.query("SELECT stream_ordering FROM appservice_stream_position")
    return int(position)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


async def _each_once(talk: Talk, events: list[str]) -> None:
    await until(lambda: set(events) <= set(talk.bridge.events), "all of them")
    assert [event for event in talk.bridge.events if event in events] == events


async def test_what_waits_for_an_answer_outlives_an_outage_of_the_database(talk: Talk) -> None:
    events = await _held(talk)
    talk.way.close()
    talk.bridge.answers.set()
    await until(lambda: "does not hold its fences" in talk.main.log, "a write in vain")
    talk.way.open()
    await _each_once(talk, events)


async def test_what_is_not_answered_in_time_is_left_to_the_next_process(talk: Talk) -> None:
    events = await _held(talk)
    talk.main.signal()
    assert await asyncio.to_thread(talk.main.wait) == 0
    talk.bridge.answers.set()
    talk.main.start()
    await _each_once(talk, events)


async def test_who_ends_waits_for_an_answer(talk: Talk) -> None:
    events = await _held(talk)
    talk.main.signal()
    # Nobody else is waited for then.
    await until(lambda: not _listens(talk.main.replication_port), "the end of replication")
    talk.bridge.answers.set()
    assert await asyncio.to_thread(talk.main.wait) == 0
    await _each_once(talk, events)


async def test_who_ends_in_the_middle_of_a_look_sends_nothing_twice(talk: Talk, site: Site) -> None:
    await until(lambda: _noted(site) >= _position(talk) > 0, "the place to be noted")
    before = _noted(site)
    with contextlib.closing(site.postgres.connect(site.database)) as lock:
        lock.cursor().execute("BEGIN; LOCK TABLE appservice_stream_position")
        events = await talk.say("while it looks")
        await until(lambda: site.query(_LOOKS) == (1,), "a look at the place")
        talk.main.signal()
        await until(lambda: not _listens(talk.main.client_port), "the end of what is new")
    assert await asyncio.to_thread(talk.main.wait) == 0
    assert _noted(site) >= before
    sent = list(talk.bridge.events)
    talk.main.start()
    await _each_once(talk, events)
    assert all(talk.bridge.events.count(event) == 1 for event in sent)


async def test_what_was_written_before_a_sudden_end_is_sent_by_the_next_process(
    talk: Talk,
) -> None:
    under_way, *_ = await _held(talk)
    talk.main.kill()
    talk.bridge.transactions.clear()
    talk.bridge.answers.set()
    talk.main.start()
    await _each_once(talk, [under_way])
