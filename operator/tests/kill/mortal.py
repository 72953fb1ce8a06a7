"""An operator that dies at a write of our choice: its connection to the API server, wrapped.

Dying is an exception that nothing in the operator catches, and no request leaves afterwards, so it
leaves behind what SIGKILL leaves behind.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from homeserver_operator.transport import Request, Transport


class OperatorDied(BaseException):
    """The end of this operator's life; no Exception, because nothing may catch it."""


class Moment(Enum):
    """When, around a write, the operator dies."""

    BEFORE = "before it is sent"
    AFTER = "after it is committed and before the answer is seen"


@dataclass(frozen=True)
class Death:
    """Death at the write with this number, counted from 0 over all of an operator's life."""

    write: int
    moment: Moment


@dataclass(frozen=True)
class Write:
    """A write that was committed: of which object, and what uid this had afterwards.

    `first` says that it is the first of its reconcile, so that time had passed before it.
    """

    method: str
    kind: str
    name: str
    uid: str
    first: bool

    def __str__(self) -> str:
        return f"{self.method} {self.kind}/{self.name}"


class MortalTransport:
    """What `Cluster` needs of a Transport; keeps count of the writes."""

    def __init__(self, transport: Transport, death: Death | None = None) -> None:
        self._transport = transport
        self._death = death
        self._attempts = 0
        self._fresh = True
        self._dead = False
        self.writes: list[Write] = []

    def begin(self) -> None:
        """A reconcile begins."""
        self._fresh = True

    async def send(self, request: Request) -> Any:
        """Send, or die; raises ApiError and OperatorDied."""
        if self._dead:
            raise OperatorDied
        if request.method == "GET":
            return await self._transport.send(request)
        number, first = self._attempts, self._fresh
        self._attempts, self._fresh = number + 1, False
        self._perhaps_die(number, Moment.BEFORE)
        answer = await self._transport.send(request)
        # What a DELETE answers with is no object but a Status, which says of whom it speaks.
        about = answer["metadata"] if answer["metadata"].get("name") else answer["details"]
        write = Write(request.method, request.kind, about["name"], about["uid"], first)
        self.writes.append(write)
        self._perhaps_die(number, Moment.AFTER)
        return answer

    def _perhaps_die(self, number: int, moment: Moment) -> None:
        if self._death == Death(number, moment):
            self._dead = True
            raise OperatorDied
