"""The two homeservers talk with each other as any two in the world: by name, TLS and signatures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote

import nio
import pytest

from e2e.product.kube import Object
from e2e.product.matrix import User, picture
from e2e.product.requests import answered
from e2e.tests.live.news import CLIENT, device_keys
from e2e.tests.live.topology import Live

pytestmark = pytest.mark.cluster

both_ways = pytest.mark.parametrize(
    ("at", "to"),
    [
        pytest.param("full", "small", id="from a server of many workers to one without"),
        pytest.param("small", "full", id="from a server without workers to one of many"),
    ],
)


@asynccontextmanager
async def _meeting(live: Live, at: str, to: str) -> AsyncIterator[tuple[User, User, str]]:
    """A host at one server, a guest of the other, and the room at `at` that both are in."""
    servers = {"full": live.full, "small": live.small}
    async with live.user(servers[at], "host") as host, live.user(servers[to], "guest") as guest:
        room = await host.create_room("a room for two servers", alias=host.name)
        alias = host.id.replace("@", "#")
        answer = await guest.ask("POST", f"{CLIENT}/join/{quote(alias)}", {})
        assert answer["room_id"] == room
        await guest.sync(room, milliseconds=0)
        yield host, guest, room


@both_ways
async def test_messages_of_a_joined_room_arrive_exactly_once(live: Live, at: str, to: str) -> None:
    async with _meeting(live, at, to) as (host, guest, room):
        said: list[str] = []
        heard: dict[str, list[str]] = {host.name: [], guest.name: []}

        async def say(speaker: User, *texts: str) -> None:
            for text in texts:
                await speaker.send(room, text)
            for listener in (host, guest):
                heard[listener.name] += await listener.hear(room, set(texts))
            said.extend(texts)

        await say(host, *(f"message {number} of the host" for number in range(5)))
        await say(guest, *(f"message {number} of the guest" for number in range(5)))
        # What comes twice comes before this.
        await say(host, "the end")

        assert heard == {host.name: said, guest.name: said}


@both_ways
async def test_a_profile_is_looked_up(live: Live, at: str, to: str) -> None:
    servers = {"full": live.full, "small": live.small}
    async with live.user(servers[to], "asked") as asked, live.user(servers[at], "asking") as asking:
        await asked.client.set_displayname("a name of one's own")

        profile = await asking.client.get_profile(asked.id)

        assert isinstance(profile, nio.ProfileGetResponse)
        assert profile.displayname == "a name of one's own"


@both_ways
async def test_a_picture_is_downloaded(live: Live, at: str, to: str) -> None:
    servers = {"full": live.full, "small": live.small}
    async with live.user(servers[to], "shows") as shows, live.user(servers[at], "looks") as looks:
        original = picture()

        assert await looks.download(await shows.upload(original)) == original


@both_ways
async def test_keys_of_a_new_device_become_known(live: Live, at: str, to: str) -> None:
    async with _meeting(live, at, to) as (host, guest, _):
        keys = device_keys(host)
        await host.ask("POST", f"{CLIENT}/keys/upload", {"device_keys": keys})

        await guest.find(
            "the host's new keys",
            lambda news: (
                True if host.id in news.get("device_lists", {}).get("changed", ()) else None
            ),
        )
        query: Object = {"device_keys": {host.id: []}}
        found = await guest.ask("POST", f"{CLIENT}/keys/query", query)
        assert found["device_keys"][host.id][host.device]["keys"] == keys["keys"]


@both_ways
async def test_a_message_to_a_device_arrives_exactly_once(live: Live, at: str, to: str) -> None:
    async with _meeting(live, at, to) as (host, guest, _):
        arrived: list[int] = []

        async def send(number: int) -> None:
            message = nio.ToDeviceMessage("word", guest.id, guest.device, {"number": number})
            await host.client.to_device(message)

        async def receive(last: int) -> None:
            def collect(news: Object) -> bool | None:
                events = news.get("to_device", {}).get("events", ())
                arrived.extend(event["content"]["number"] for event in events)
                return True if set(range(last + 1)) <= set(arrived) else None

            await guest.find("the messages", collect)

        for number in range(5):
            await send(number)
        await receive(4)
        # What comes twice comes before this.
        await send(5)
        await receive(5)

        # A server handles what comes in one transaction all at once, so in any order.
        assert sorted(arrived) == list(range(6))


async def test_only_one_worker_speaks_to_other_servers(live: Live) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")

    async with _meeting(live, "small", "full") as (host, guest, room):
        await guest.send(room, "hello")
        await host.hear(room, {"hello"})

    requests = [
        request
        for request in answered(live.small.kube, since, homeserver=live.small.name)
        if request.path.startswith("/_matrix/federation/")
    ]
    # Joining is client's affair, sending the federation sender's: neither does it by itself.
    kinds = {request.path.split("/")[4] for request in requests}
    assert kinds >= {"make_join", "send_join", "send"}
    assert {request.sender for request in requests} == live.full.addresses("outbound")
