"""Matrix users with a real client library (matrix-nio), through the Ingress.

The Ingress is found by address, not by DNS: each request carries the host name in its header.
"""

from __future__ import annotations

import asyncio
import io
from types import TracebackType
from typing import Any, Self, TypeVar

import nio
from PIL import Image

T = TypeVar("T")

WAIT = 60.0
"""Seconds that any one answer may take on a small, busy machine."""


class MatrixError(AssertionError):
    """The server's answer was an error; the text is the server's."""


class User:
    """One user with one device. Use as an asynchronous context manager."""

    def __init__(self, *, ingress: str, host: str, name: str, password: str) -> None:
        self.name = name
        self._password = password
        self._client = nio.AsyncClient(
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    @property
    def id(self) -> str:
        """The full user id."""
        return str(self._client.user_id)

    async def register(self) -> None:
        """Make the account."""
        await _ok(self._client.register(self.name, self._password), nio.RegisterResponse)
        await _ok(self._client.logout(), nio.LogoutResponse)

    async def login(self) -> None:
        """Log in with the password, on a new device."""
        await _ok(self._client.login(self._password), nio.LoginResponse)

    async def create_room(self, name: str) -> str:
        """Make a room that everybody may join; return its id."""
        answer = await _ok(
            self._client.room_create(name=name, preset=nio.RoomPreset.public_chat),
            nio.RoomCreateResponse,
        )
        return str(answer.room_id)

    async def join(self, room: str) -> None:
        """Join a room."""
        await _ok(self._client.join(room), nio.JoinResponse)

    async def send(self, room: str, text: str) -> None:
        """Send one message."""
        content = {"msgtype": "m.text", "body": text}
        await _ok(self._client.room_send(room, "m.room.message", content), nio.RoomSendResponse)

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
            self._client.sync(timeout=milliseconds, since=self._since), nio.SyncResponse
        )
        self._since = answer.next_batch
        joined = answer.rooms.join.get(room)
        events = joined.timeline.events if joined else ()
        return [event.body for event in events if isinstance(event, nio.RoomMessageText)]

    async def upload(self, picture: bytes) -> str:
        """Upload a PNG; return its mxc URI."""
        answer, _ = await self._client.upload(
            lambda *_: io.BytesIO(picture), content_type="image/png", filesize=len(picture)
        )
        if not isinstance(answer, nio.UploadResponse):
            raise MatrixError(str(answer))
        return str(answer.content_uri)

    async def download(self, uri: str) -> bytes:
        """Download what was uploaded."""
        answer = await _ok(self._client.download(uri), nio.MemoryDownloadResponse)
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
