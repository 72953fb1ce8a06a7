"""Another homeserver: as much of one as it takes to join a room and to send events there."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from canonicaljson import encode_canonical_json
from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key
from signedjson.sign import sign_json
from tests.processes import SERVER_NAME
from tests.services import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.matrix import Client
    from tests.processes import Site

ROOM_VERSION = "10"
_KEPT = {
    "auth_events", "content", "depth", "hashes", "origin_server_ts", "prev_events", "room_id",
    "sender", "signatures", "state_key", "type",
}  # fmt: skip


class Remote:
    """Its name leads nowhere, so nobody asks it anything; its key is known beforehand."""

    def __init__(self, site: Site, port: int) -> None:
        self.name = f"{LOOPBACK}:1"
        self.user = f"@bob:{self.name}"
        self._port = port
        self._key = generate_signing_key("key")
        self._transactions = 0
        key_id = f"{self._key.alg}:{self._key.version}"
        key = encode_verify_key_base64(get_verify_key(self._key))
        now = int(time.time() * 1000)
        document = json.dumps({"verify_keys": {key_id: {"key": key}}}).encode()
        site.execute(
            "INSERT INTO server_keys_json (server_name, key_id, from_server, ts_added_ms, "
            "ts_valid_until_ms, key_json) VALUES (%s, %s, %s, %s, %s, %s)",
            (self.name, key_id, self.name, now, now + 86_400_000, document),
        )

    async def join(self, room: str) -> None:
        """Joins a public room of version 10."""
        template = await self._ask(
            "GET",
            f"/_matrix/federation/v1/make_join/{room}/{self.user}?ver={ROOM_VERSION}",
        )
        event = self._finish(template["event"])
        await self._ask("PUT", f"/_matrix/federation/v2/send_join/{room}/{name_of(event)}", event)

    async def meet(self, host: Client) -> Callable[[int], list[Any]]:
        """Joins a new room of the host's; returns what makes so many messages for it."""
        room = await host.create_room(preset="public_chat", room_version=ROOM_VERSION)
        await self.join(room)
        state = await host.request_list("GET", f"rooms/{room}/state")
        joined = next(e["event_id"] for e in state if e["state_key"] == self.user)
        needed = {"m.room.create", "m.room.power_levels"}
        auth = [e["event_id"] for e in state if e["type"] in needed] + [joined]
        return partial(self.messages, room, after=joined, auth=auth)

    def messages(self, room: str, count: int, *, after: str, auth: list[str]) -> list[Any]:
        """Events, each after the one before."""
        events: list[Any] = []
        for number in range(count):
            events.append(
                self._finish(
                    {
                        "type": "m.room.message",
                        "room_id": room,
                        "sender": self.user,
                        "content": {"msgtype": "m.text", "body": f"message {number}"},
                        "depth": 100 + number,
                        "prev_events": [after],
                        "auth_events": auth,
                    }
                )
            )
            after = name_of(events[-1])
        return events

    async def send(self, events: list[Any]) -> None:
        """One transaction; returns when it is answered with 200 and no event was refused."""
        self._transactions += 1
        path = f"/_matrix/federation/v1/send/{self._transactions}"
        answer = await self._ask(
            "PUT",
            path,
            {"origin": self.name, "origin_server_ts": int(time.time() * 1000), "pdus": events},
        )
        assert answer == {"pdus": {name_of(event): {} for event in events}}

    def _finish(self, event: dict[str, Any]) -> dict[str, Any]:
        event |= {"origin_server_ts": int(time.time() * 1000)}
        digest = hashlib.sha256(encode_canonical_json(event)).digest()
        event["hashes"] = {"sha256": base64.b64encode(digest).decode().rstrip("=")}
        event["signatures"] = sign_json(redacted(event), self.name, self._key)["signatures"]
        return event

    async def _ask(self, method: str, uri: str, content: Any = None) -> Any:
        request = {"method": method, "uri": uri, "origin": self.name, "destination": SERVER_NAME}
        if content is not None:
            request["content"] = content
        signed = sign_json(request, self.name, self._key)
        ((key_id, signature),) = signed["signatures"][self.name].items()
        authorization = (
            f'X-Matrix origin="{self.name}",key="{key_id}",sig="{signature}",'
            f'destination="{SERVER_NAME}"'
        )
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                f"http://{LOOPBACK}:{self._port}{uri}",
                headers={"Authorization": authorization},
                json=content,
            ) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()


def redacted(event: dict[str, Any]) -> dict[str, Any]:
    """An event of ours without what a redaction takes."""
    kept = {name: value for name, value in event.items() if name in _KEPT}
    member = event["type"] == "m.room.member"
    content = {"membership": event["content"]["membership"]} if member else {}
    return kept | {"content": content}


def name_of(event: dict[str, Any]) -> str:
    """The event's id, which follows from what it says."""
    hashed = {name: value for name, value in redacted(event).items() if name != "signatures"}
    digest = hashlib.sha256(encode_canonical_json(hashed)).digest()
    return "$" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
