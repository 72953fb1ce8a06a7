"""Matrix users with a real client library (matrix-nio), through the Ingress.

The Ingress is found by address, not by DNS: each request carries the host name in its header.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import nio
from PIL import Image

from e2e.product.plain import WAIT, MatrixError, Plain

T = TypeVar("T")


class User(Plain):
    """One user with one device. Use as an asynchronous context manager.

    `client` is the library's own, for what has no method here.
    """

    def __init__(self, *, ingress: str, host: str, name: str, password: str) -> None:
        super().__init__(ingress, host)
        self.name = name
        self.password = password
        self.client = nio.AsyncClient(
            f"http://{ingress}",
            name,
            config=nio.AsyncClientConfig(
                custom_headers={"Host": host},
                # As people's clients do: wait and try again when Synapse limits the rate.
                max_limit_exceeded=None,
                max_timeouts=0,
                request_timeout=WAIT,
                encryption_enabled=False,
            ),
        )
        self._since: str | None = None

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[User]:
        """The same person, logged in on another device."""
        same = {"host": self.host, "name": self.name, "password": self.password}
        async with User(ingress=self.ingress, **same) as user:
            await user.login()
            yield user

    async def close(self) -> None:
        """Give up the connections, the library's, too."""
        await super().close()
        await self.client.close()

    @property
    def token(self) -> str:
        """The access token of the device."""
        return str(self.client.access_token)

    @property
    def id(self) -> str:
        """The full user id."""
        return str(self.client.user_id)

    @property
    def device(self) -> str:
        """The device's id."""
        return str(self.client.device_id)

    async def sign_up(self) -> None:
        """Make the account and stay logged in."""
        await _ok(self.client.register(self.name, self.password), nio.RegisterResponse)

    async def sign_up_as_administrator(self, shared_secret: str) -> None:
        """Make the account of one who may use the admin API, and stay logged in."""
        path = "/_synapse/admin/v1/register"
        nonce = (await self.ask("GET", path))["nonce"]
        proof = f"{nonce}\0{self.name}\0{self.password}\0admin"
        mac = hmac.new(shared_secret.encode(), proof.encode(), hashlib.sha1).hexdigest()
        account = {"username": self.name, "password": self.password, "admin": True}
        answer = await self.ask("POST", path, {"nonce": nonce, "mac": mac, **account})
        self.client.restore_login(answer["user_id"], answer["device_id"], answer["access_token"])

    async def register(self) -> None:
        """Make the account."""
        await self.sign_up()
        await _ok(self.client.logout(), nio.LogoutResponse)

    async def login(self) -> None:
        """Log in with the password, on a new device."""
        await _ok(self.client.login(self.password), nio.LoginResponse)

    async def create_room(self, name: str, *, alias: str | None = None) -> str:
        """Make a room that everybody may join; return its id."""
        answer = await _ok(
            self.client.room_create(name=name, alias=alias, preset=nio.RoomPreset.public_chat),
            nio.RoomCreateResponse,
        )
        return str(answer.room_id)

    async def join(self, room: str) -> None:
        """Join a room."""
        await _ok(self.client.join(room), nio.JoinResponse)

    async def send(self, room: str, text: str) -> str:
        """Send one message; return its event's id."""
        content = {"msgtype": "m.text", "body": text}
        answer = await _ok(
            self.client.room_send(room, "m.room.message", content), nio.RoomSendResponse
        )
        return str(answer.event_id)

    async def hear(self, room: str, expected: set[str], *, seconds: float = WAIT) -> list[str]:
        """Sync until all expected messages have come; return what came, in the server's order.

        Raises TimeoutError.
        """
        heard: list[str] = []
        async with asyncio.timeout(seconds):
            while not expected <= set(heard):
                heard += await self.sync(room)
        return heard

    async def sync(self, room: str, *, milliseconds: int = 5000) -> list[str]:
        """One /sync from where the last one ended; return the room's new messages."""
        answer = await _ok(
            self.client.sync(timeout=milliseconds, since=self._since), nio.SyncResponse
        )
        self._since = answer.next_batch
        joined = answer.rooms.join.get(room)
        events = joined.timeline.events if joined else ()
        return [event.body for event in events if isinstance(event, nio.RoomMessageText)]

    async def find(self, what: str, look: Callable[[Any], T | None], *, seconds: float = WAIT) -> T:
        """Sync until `look` finds something in an answer to /sync; raises MatrixError.

        `look` sees the bare JSON, in which the library leaves nothing out.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    since = f"&since={self._since}" if self._since else ""
                    answer = await self.ask("GET", f"/_matrix/client/v3/sync?timeout=5000{since}")
                    self._since = answer["next_batch"]
                    if (found := look(answer)) is not None:
                        return found
        except TimeoutError as error:
            raise MatrixError(f"{what}: not within {seconds:.0f} s") from error

    async def upload(self, picture: bytes) -> str:
        """Upload a PNG; return its mxc URI."""
        answer, _ = await self.client.upload(
            lambda *_: io.BytesIO(picture), content_type="image/png", filesize=len(picture)
        )
        if not isinstance(answer, nio.UploadResponse):
            raise MatrixError(str(answer))
        return str(answer.content_uri)

    async def download(self, uri: str) -> bytes:
        """Download what was uploaded."""
        answer = await _ok(self.client.download(uri), nio.MemoryDownloadResponse)
        return bytes(answer.body)


def picture() -> bytes:
    """A small PNG."""
    output = io.BytesIO()
    Image.linear_gradient("L").save(output, "PNG")
    return output.getvalue()


async def _ok(call: Any, expected: type[T]) -> T:
    answer = await call
    if not isinstance(answer, expected):
        raise MatrixError(str(answer))
    return answer
