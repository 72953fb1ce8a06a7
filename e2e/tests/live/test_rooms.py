"""What people do in rooms works when every part of it is another process's."""

from __future__ import annotations

from urllib.parse import quote

import nio
import pytest

from e2e.product.conversation import converse
from e2e.product.matrix import picture
from e2e.tests.live.news import any_of, in_room
from e2e.tests.live.topology import Live

pytestmark = pytest.mark.cluster


async def test_two_people_talk(live: Live) -> None:
    outcome = await converse(live.full.installation.cluster.ingress, live.full.host)

    assert outcome.faithful


async def test_a_peer_sees_who_is_typing(live: Live) -> None:
    async with live.pair() as (alice, bob, room):
        await alice.client.room_typing(room, typing_state=True)

        await bob.find(
            "alice typing",
            lambda news: any_of(
                alice.id in event["content"]["user_ids"]
                for event in in_room(news, room, "ephemeral", "m.typing")
            ),
        )


async def test_a_peer_sees_a_read_receipt(live: Live) -> None:
    async with live.pair() as (alice, bob, room):
        event = await alice.send(room, "read me")
        await bob.client.update_receipt_marker(room, event)

        await alice.find(
            "bob's receipt",
            lambda news: any_of(
                bob.id in receipt["content"].get(event, {}).get("m.read", {})
                for receipt in in_room(news, room, "ephemeral", "m.receipt")
            ),
        )


async def test_a_read_marker_moves_on_all_devices(live: Live) -> None:
    async with live.pair() as (alice, bob, room), bob.elsewhere() as other:
        await other.sync(room, milliseconds=0)
        event = await alice.send(room, "read me")
        await bob.client.room_read_markers(room, fully_read_event=event, read_event=event)

        await other.find(
            "the marker",
            lambda news: any_of(
                marker["content"]["event_id"] == event
                for marker in in_room(news, room, "account_data", "m.fully_read")
            ),
        )


async def test_a_picture_is_uploaded_downloaded_and_made_small(live: Live) -> None:
    async with live.pair() as (alice, bob, _):
        original = picture()
        uri = await alice.upload(original)

        assert await bob.download(uri) == original
        small = await bob.client.thumbnail(*uri.removeprefix("mxc://").split("/"), 32, 32)
        assert isinstance(small, nio.ThumbnailResponse)


async def test_a_thread_is_subscribed_to_and_left(live: Live) -> None:
    async with live.pair() as (alice, _, room):
        root = await alice.send(room, "the beginning of a thread")
        thread = (
            f"/_matrix/client/unstable/io.element.msc4306/rooms/{quote(room)}"
            f"/thread/{quote(root)}/subscription"
        )

        await alice.ask("PUT", thread, {})
        assert await alice.ask("GET", thread) == {"automatic": False}
        await alice.ask("DELETE", thread)
        assert (await alice.call("GET", thread)).error == "M_NOT_FOUND"


async def test_a_rooms_history_has_every_message_once_and_in_order(live: Live) -> None:
    async with live.pair() as (alice, bob, room):
        said = [f"message {number}" for number in range(12)]
        for text in said:
            await alice.send(room, text)

        read: list[str] = []
        page = await bob.client.room_messages(room, limit=5)
        while page.chunk:
            read += [e.body for e in page.chunk if isinstance(e, nio.RoomMessageText)]
            if not page.end:
                break
            page = await bob.client.room_messages(room, start=page.end, limit=5)

        assert read == said[::-1]


async def test_sliding_sync_brings_a_new_message(live: Live) -> None:
    async with live.pair() as (alice, bob, room):
        path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=10000"
        window = {"timeline_limit": 1, "required_state": [], "ranges": [[0, 9]]}
        first = await bob.ask("POST", path, {"lists": {"all": window}})
        assert room in first["rooms"]

        await alice.send(room, "news")
        second = await bob.ask("POST", f"{path}&pos={first['pos']}", {"lists": {"all": window}})

        (event,) = second["rooms"][room]["timeline"]
        assert event["content"]["body"] == "news"
