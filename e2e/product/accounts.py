"""Whether everything that was acknowledged arrived once and in order. Judges records alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from e2e.product.talk import Heard, Message


def unacknowledged(messages: Iterable[Message]) -> list[str]:
    """What nobody ever said yes to, with what was said instead."""
    return [
        f"{message.text}: {Counter(message.failures)}"
        for message in messages
        if message.acknowledged is None
    ]


def misheard(messages: Sequence[Message], heard: Sequence[Heard]) -> list[str]:
    """What was lost, doubled, made up or put in another order, in words."""
    return [*_lost_or_doubled(messages, heard), *_disordered(heard)]


def _lost_or_doubled(messages: Sequence[Message], heard: Sequence[Heard]) -> Iterator[str]:
    said = {message.text: message for message in messages}
    times = Counter(one.text for one in heard)
    for text, message in said.items():
        if message.acknowledged is not None and times[text] != 1:
            yield f"{text}: {times[text]} times"
    for one in heard:
        if one.text not in said:
            yield f"{one.text}: never said"
        elif said[one.text].event not in {"", one.event}:
            yield f"{one.text}: acknowledged as {said[one.text].event}, heard as {one.event}"


def _disordered(heard: Iterable[Heard]) -> Iterator[str]:
    """A speaker says nothing before the last message is acknowledged."""
    last: dict[tuple[str, str], int] = {}
    for one in heard:
        number, before = int(one.text.split()[0]), last.get((one.room, one.sender), -1)
        if number <= before:
            yield f"{one.text}: after {before}"
        last[one.room, one.sender] = number


def wrongly_pushed(messages: Iterable[Message], listener: str, pushed: Sequence[str]) -> list[str]:
    """Events of others of which a user's phone was not told exactly once."""
    of_others = [message for message in messages if message.speaker != listener]
    return _not_once(of_others, "pushed", pushed)


def wrongly_bridged(messages: Iterable[Message], bridged: Sequence[str]) -> list[str]:
    """Events that an application service did not get exactly once."""
    return _not_once(messages, "bridged", bridged)


def _not_once(messages: Iterable[Message], verb: str, events: Sequence[str]) -> list[str]:
    times = Counter(events)
    return [
        f"{message.text}: {verb} {times[message.event]} times"
        for message in messages
        if message.acknowledged is not None and times[message.event] != 1
    ]
