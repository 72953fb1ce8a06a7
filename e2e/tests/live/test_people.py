"""What people keep and tell each other works when every part is another process's."""

from __future__ import annotations

from urllib.parse import quote

import nio
import pytest

from e2e.product.kube import Object
from e2e.tests.live.news import CLIENT, any_of, device_keys, in_room
from e2e.tests.live.topology import Live

pytestmark = pytest.mark.cluster


async def test_messages_to_a_device_arrive_exactly_once_and_in_order(live: Live) -> None:
    async with live.pair() as (alice, bob, _):
        arrived: list[int] = []

        def collect(news: Object) -> bool | None:
            events = news.get("to_device", {}).get("events", ())
            arrived.extend(event["content"]["number"] for event in events)
            return True if 9 in arrived else None

        for number in range(10):
            message = nio.ToDeviceMessage("word", bob.id, bob.device, {"number": number})
            await alice.client.to_device(message)
        await bob.find("the messages", collect)

        assert arrived == list(range(10))


async def test_presence_of_another_user(live: Live) -> None:
    async with live.pair() as (alice, bob, _):
        await alice.client.set_presence("unavailable", "at lunch")

        await bob.ask_until(
            "alice's state",
            lambda state: bool(state.get("status_msg") == "at lunch"),
            "GET",
            f"{CLIENT}/presence/{quote(alice.id)}/status",
        )
        await bob.find(
            "alice's presence",
            lambda news: any_of(
                event["sender"] == alice.id and event["content"].get("status_msg") == "at lunch"
                for event in news.get("presence", {}).get("events", ())
            ),
        )


async def test_push_rules_are_set_read_and_deleted(live: Live) -> None:
    async with live.pair() as (alice, _, room):
        rule = f"{CLIENT}/pushrules/global/room/{quote(room)}"

        await alice.ask("PUT", rule, {"actions": []})
        assert (await alice.ask("GET", rule))["rule_id"] == room
        await alice.find(
            "the rule",
            lambda news: any_of(
                room in {item["rule_id"] for item in event["content"]["global"]["room"]}
                for event in news.get("account_data", {}).get("events", ())
                if event["type"] == "m.push_rules"
            ),
        )
        await alice.ask("DELETE", rule)
        assert (await alice.call("GET", rule)).error == "M_NOT_FOUND"


async def test_account_data_and_tags_reach_the_other_device(live: Live) -> None:
    async with live.pair() as (alice, _, room), alice.elsewhere() as other:
        await other.sync(room, milliseconds=0)
        mine = f"{CLIENT}/user/{quote(alice.id)}"
        await alice.ask("PUT", f"{mine}/account_data/word", {"said": True})
        await other.find(
            "the account data",
            lambda news: any_of(
                event["type"] == "word" and event["content"] == {"said": True}
                for event in news.get("account_data", {}).get("events", ())
            ),
        )
        await alice.ask("PUT", f"{mine}/rooms/{quote(room)}/tags/m.favourite", {"order": 0.5})
        await other.find(
            "the tag",
            lambda news: any_of(
                "m.favourite" in event["content"]["tags"]
                for event in in_room(news, room, "account_data", "m.tag")
            ),
        )


async def test_devices_are_listed_renamed_and_deleted(live: Live) -> None:
    async with live.user(live.full, "alice") as alice, alice.elsewhere() as other:
        await alice.client.update_device(other.device, {"display_name": "the other"})
        listed = {d.id: d.display_name for d in (await alice.client.devices()).devices}
        assert set(listed) == {alice.device, other.device}
        assert listed[other.device] == "the other"

        asked = await alice.client.delete_devices([other.device])
        auth = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": alice.id},
            "password": alice.password,
            "session": asked.session,
        }
        await alice.client.delete_devices([other.device], auth)

        assert [d.id for d in (await alice.client.devices()).devices] == [alice.device]
        assert (await other.call("GET", f"{CLIENT}/account/whoami")).error == "M_UNKNOWN_TOKEN"


async def test_keys_are_uploaded_queried_and_claimed_once(live: Live) -> None:
    async with live.pair() as (alice, bob, _):
        keys = device_keys(bob)
        await bob.ask(
            "POST",
            f"{CLIENT}/keys/upload",
            {"device_keys": keys, "one_time_keys": {"curve25519:AAAAAQ": "once"}},
        )
        await alice.find(
            "bob's new keys",
            lambda news: any_of([bob.id in news.get("device_lists", {}).get("changed", ())]),
        )
        query: Object = {"device_keys": {bob.id: []}}
        found = await alice.ask("POST", f"{CLIENT}/keys/query", query)
        assert found["device_keys"][bob.id][bob.device]["keys"] == keys["keys"]

        claim = {"one_time_keys": {bob.id: {bob.device: "curve25519"}}}
        first, second = [await alice.ask("POST", f"{CLIENT}/keys/claim", claim) for _ in range(2)]
        assert first["one_time_keys"][bob.id][bob.device] == {"curve25519:AAAAAQ": "once"}
        assert second["one_time_keys"] == {}


async def test_the_directory_finds_a_new_user(live: Live) -> None:
    async with live.pair() as (alice, bob, _):
        await alice.ask_until(
            "bob in the directory",
            lambda answer: bob.id in {result["user_id"] for result in answer["results"]},
            "POST",
            f"{CLIENT}/user_directory/search",
            {"search_term": bob.name},
        )
