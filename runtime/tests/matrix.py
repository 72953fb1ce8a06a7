"""As much of a Matrix client as the runtime's tests need, on plain HTTP requests."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import uuid
from typing import Any, Self

import aiohttp
from tests.processes import REGISTRATION_SECRET
from tests.services import LOOPBACK

_transactions = itertools.count()


async def register(port: int) -> str:
    """Registers a new user with the shared secret, at main; returns an access token."""
    url = f"http://{LOOPBACK}:{port}/_synapse/admin/v1/register"
    user, password = uuid.uuid4().hex, "password"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        nonce = (await (await session.get(url)).json())["nonce"]
        signed = f"{nonce}\0{user}\0{password}\0notadmin".encode()
        mac = hmac.new(REGISTRATION_SECRET.encode(), signed, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": user, "password": password, "mac": mac}
        async with session.post(url, json=body | {"admin": False}) as response:
            return str((await response.json())["access_token"])


class Client:
    """One user's requests to one process; a refusal raises aiohttp.ClientResponseError."""

    def __init__(self, port: int, token: str) -> None:
        self._session = aiohttp.ClientSession(
            f"http://{LOOPBACK}:{port}/_matrix/client/v3/",
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(limit=0),
            raise_for_status=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self._session.request(method, path, **options) as response:
            return dict(await response.json())

    async def request_list(self, method: str, path: str) -> list[Any]:
        async with self._session.request(method, path) as response:
            return list(await response.json())

    async def create_room(self, **options: Any) -> str:
        return str((await self.request("POST", "createRoom", json=options))["room_id"])

    async def send(self, room: str, body: str) -> str:
        path = f"rooms/{room}/send/m.room.message/{next(_transactions)}"
        content = {"msgtype": "m.text", "body": body}
        return str((await self.request("PUT", path, json=content))["event_id"])

    async def sync(self, since: str | None = None, wait_seconds: float = 0) -> dict[str, Any]:
        query = {"timeout": str(int(wait_seconds * 1000))}
        return await self.request(
            "GET", "sync", params=query if since is None else query | {"since": since}
        )
