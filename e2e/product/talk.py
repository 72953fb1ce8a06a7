"""People who talk all the time, and what came of each word of theirs.

Every message has its number and keeps its transaction id until it is acknowledged, as clients do.
`accounts` judges afterwards whether anything was lost or doubled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp

from e2e.product.kube import Object, eventually
from e2e.product.matrix import User

CLIENT = "/_matrix/client/v3"
PAUSE = 0.5
"""Seconds between an acknowledgement and the same speaker's next message."""

RETRY = 0.2
ENDS = 120.0
"""Seconds for everything that was said to be acknowledged and heard in the end."""

_FILTER = {"room": {"timeline": {"limit": 1000}}, "presence": {"types": []}}


@dataclass
class Message:
    """One message; times are of the monotonic clock."""

    room: str
    speaker: str
    number: int
    began: float
    acknowledged: float | None = None
    event: str = ""
    failures: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it says, which nothing else does."""
        return f"{self.number} of {self.speaker}"


@dataclass(frozen=True)
class Heard:
    """An event as a listener's /sync brought it."""

    room: str
    sender: str
    text: str
    event: str


@dataclass
class Listener:
    """What one user's /sync has brought, in its order."""

    heard: list[Heard] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    # Timelines that came with a gap, after which something may be missing.
    gaps: int = 0


class Talkers:
    """Speakers and listeners, who are all in all rooms."""

    def __init__(self, speakers: Sequence[User], listeners: Sequence[User], rooms: Sequence[str]):
        self._speakers = speakers
        self._rooms = rooms
        self._stop = threading.Event()
        self.listeners = {user.id: Listener() for user in listeners}
        self._ears = listeners
        self.messages: list[Message] = []

    async def run(self) -> None:
        """Talk until `stop`, and then until everything is acknowledged and heard, or long after."""
        async with asyncio.TaskGroup() as group:
            ears = [group.create_task(self._listen(user)) for user in self._ears]
            mouths = [group.create_task(self._speak(user)) for user in self._speakers]
            await asyncio.wait(mouths)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDS):
                    await self._all_heard()
            # What comes twice has had a whole round of /sync to come.
            await asyncio.sleep(2)
            for ear in ears:
                ear.cancel()

    def stop(self) -> None:
        """Say nothing new."""
        self._stop.set()

    def acknowledged(self) -> int:
        """How many messages are acknowledged by now."""
        return sum(message.acknowledged is not None for message in self.messages)

    def flows(self, count: int = 12, *, seconds: float = 60.0) -> None:
        """Wait until so many more messages are acknowledged; raises WaitError."""
        wanted = self.acknowledged() + count
        eventually(
            self.acknowledged,
            lambda seen: seen >= wanted,
            what=f"{count} messages",
            seconds=seconds,
        )

    def between(self, began: float, ended: float) -> list[Message]:
        """Messages that waited for an answer at some time in between."""
        return [
            message
            for message in self.messages
            if message.began < ended and (message.acknowledged or ended) > began
        ]

    async def _speak(self, user: User) -> None:
        number = 0
        while not self._stop.is_set():
            room = self._rooms[number % len(self._rooms)]
            message = Message(room, user.id, number, time.monotonic())
            self.messages.append(message)
            await self._say(user, message)
            number += 1
            await asyncio.sleep(PAUSE)

    async def _say(self, user: User, message: Message) -> None:
        path = f"{CLIENT}/rooms/{quote(message.room)}/send/m.room.message/{message.number}"
        content = {"msgtype": "m.text", "body": message.text}
        while not (self._stop.is_set() and time.monotonic() > message.began + ENDS):
            answer = await _answer(user, "PUT", path, content, message.failures)
            if answer is not None:
                message.event = answer["event_id"]
                message.acknowledged = time.monotonic()
                return
            await asyncio.sleep(RETRY)

    async def _listen(self, user: User) -> None:
        listener = self.listeners[user.id]
        path = f"{CLIENT}/sync?filter={quote(json.dumps(_FILTER))}"
        since = ""
        while True:
            answer = await _answer(user, "GET", f"{path}{since}", None, listener.failures)
            if answer is None:
                await asyncio.sleep(RETRY)
                continue
            for room, joined in answer.get("rooms", {}).get("join", {}).items():
                timeline = joined.get("timeline", {})
                listener.gaps += bool(since and timeline.get("limited"))
                listener.heard += _messages(room, timeline.get("events", ()))
            since = f"&timeout=5000&since={answer['next_batch']}"

    async def _all_heard(self) -> None:
        said = {message.event for message in self.messages}
        for listener in self.listeners.values():
            while not said <= {heard.event for heard in listener.heard}:  # noqa: ASYNC110 - lists
                await asyncio.sleep(RETRY)


def _messages(room: str, events: Sequence[Object]) -> Iterator[Heard]:
    for event in events:
        if event["type"] == "m.room.message":
            yield Heard(room, event["sender"], event["content"]["body"], event["event_id"])


async def _answer(
    user: User, method: str, path: str, body: object, failures: list[str]
) -> Object | None:
    """The answer's content; None after a failure, which is noted."""
    try:
        answer = await user.call(method, path, body)
    except (aiohttp.ClientError, TimeoutError) as error:
        failures.append(type(error).__name__)
        return None
    if answer.status != 200:
        failures.append(f"{answer.status} {answer.error}".strip())
        return None
    content: Object = answer.content
    return content


async def history(user: User, room: str) -> list[Heard]:
    """All messages of a room, oldest first, as pagination has them."""
    path, pages, end = f"{CLIENT}/rooms/{quote(room)}/messages?dir=b&limit=200", [], ""
    while True:
        answer = await user.ask("GET", f"{path}{end}")
        pages += [*_messages(room, answer["chunk"])]
        if not answer.get("end"):
            return pages[::-1]
        end = f"&from={quote(answer['end'])}"
