"""What the homeserver tells others of its own accord, each thing once and by its own worker."""

from __future__ import annotations

import secrets
from urllib.parse import quote

import pytest

from e2e.product.kube import eventually
from e2e.product.recording import TRANSACTIONS, Record
from e2e.tests.live.news import CLIENT
from e2e.tests.live.topology import Live

pytestmark = pytest.mark.cluster

PROMPTLY = 60.0
PUSH_PATH = "/_matrix/push/v1/notify"
LAST = "the last word"


async def test_an_application_service_receives_each_event_once(live: Live) -> None:
    puppet = f"bridged-{secrets.token_hex(4)}"
    async with live.user(live.full, "alice") as alice, live.person(live.full, "bridge") as bridge:
        bridge.client.access_token = live.bridge["as_token"]
        account = {"type": "m.login.application_service", "username": puppet}
        await bridge.ask("POST", f"{CLIENT}/register", account)
        room = await alice.create_room("a bridged room")
        acting = f"?user_id={quote(f'@{puppet}:{live.full.server_name}')}"
        await bridge.ask("POST", f"{CLIENT}/join/{quote(room)}{acting}", {})
        said = [await alice.send(room, text) for text in ("one", "two", "three", LAST)]

        def received() -> list[tuple[Record, str]]:
            transactions = live.recording.received(TRANSACTIONS)
            return [
                (record, event["event_id"])
                for record in transactions
                for event in record.content["events"]
                if event["room_id"] == room and event["type"] == "m.room.message"
            ]

        seen = eventually(
            received,
            lambda seen: said[-1] in {event for _, event in seen},
            what="the last message at the application service",
            seconds=PROMPTLY,
        )
    assert [event for _, event in seen] == said
    assert {record.sender for record, _ in seen} == live.full.addresses("bridges")


async def test_a_push_gateway_receives_each_notification_once(live: Live) -> None:
    async with live.pair() as (alice, bob, room):
        key = secrets.token_hex(8)
        pusher = {
            "kind": "http",
            "app_id": "org.example.e2e",
            "app_display_name": "e2e",
            "device_display_name": "phone",
            "pushkey": key,
            "lang": "en",
            "data": {"url": live.recording.url + PUSH_PATH, "format": "event_id_only"},
        }
        await bob.ask("POST", f"{CLIENT}/pushers/set", pusher)
        said = [await alice.send(room, text) for text in ("one", "two", "three", LAST)]

        def received() -> list[tuple[Record, str]]:
            return [
                (record, record.content["notification"]["event_id"])
                for record in live.recording.received(PUSH_PATH)
                if record.content["notification"]["devices"][0]["pushkey"] == key
                and "event_id" in record.content["notification"]
            ]

        seen = eventually(
            received,
            lambda seen: said[-1] in {event for _, event in seen},
            what="the last notification at the push gateway",
            seconds=PROMPTLY,
        )
    assert [event for _, event in seen] == said
    assert {record.sender for record, _ in seen} == live.full.addresses("pusher")


async def test_a_missed_message_is_told_by_mail(live: Live) -> None:
    address = f"{secrets.token_hex(4)}@example.org"
    async with (
        live.administrator() as administrator,
        live.user(live.full, "alice") as alice,
        live.person(live.full, "bob") as bob,
    ):
        # With an address comes, by default, a pusher for it.
        await administrator.ask(
            "PUT",
            f"/_synapse/admin/v2/users/{quote(f'@{bob.name}:{live.full.server_name}')}",
            {
                "password": bob.password,
                "threepids": [{"medium": "email", "address": address}],
            },
        )
        await bob.login()
        room = await alice.create_room("a room")
        await bob.join(room)
        await alice.send(room, "a missed message")

        def received() -> list[Record]:
            mails = live.recording.received("mail")
            return [mail for mail in mails if mail.content["recipients"] == [address]]

        mails = eventually(received, bool, what="the mail", seconds=PROMPTLY)
    assert len(mails) == 1
    assert {mail.sender for mail in mails} == live.full.addresses("pusher")


async def test_a_room_is_removed_in_the_background(live: Live) -> None:
    async with live.user(live.full, "alice") as alice, live.administrator() as administrator:
        room = await alice.create_room("a room to be removed")
        rooms = "/_synapse/admin/v2/rooms"
        task = await administrator.ask("DELETE", f"{rooms}/{quote(room)}", {"purge": True})

        await administrator.ask_until(
            "the removal",
            lambda answer: bool(answer["status"] == "complete"),
            "GET",
            f"{rooms}/delete_status/{task['delete_id']}",
        )
