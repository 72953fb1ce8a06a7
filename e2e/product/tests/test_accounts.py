"""The accounts of who heard what notice everything that goes wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.product.accounts import misheard, unacknowledged, wrongly_bridged, wrongly_pushed
from e2e.product.talk import Heard, Message

ROOM, ALICE, BOB = "!room", "@alice", "@bob"


def _said(speaker: str = ALICE, count: int = 3) -> list[Message]:
    return [
        Message(ROOM, speaker, n, began=n, acknowledged=n + 0.5, event=f"${n}{speaker}")
        for n in range(count)
    ]


def _heard(messages: list[Message]) -> list[Heard]:
    return [Heard(m.room, m.speaker, m.text, m.event) for m in messages]


def _nothing(_: list[Heard]) -> None:
    pass


def _lost(heard: list[Heard]) -> None:
    del heard[1]


def _doubled(heard: list[Heard]) -> None:
    heard.append(heard[-1])


def _sent_anew(heard: list[Heard]) -> None:
    heard.append(Heard(ROOM, ALICE, heard[-1].text, "$another"))


def _swapped(heard: list[Heard]) -> None:
    heard[0], heard[1] = heard[1], heard[0]


def _made_up(heard: list[Heard]) -> None:
    heard.append(Heard(ROOM, ALICE, "7 of nobody", "$7"))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        pytest.param(_nothing, [], id="all is well"),
        pytest.param(_lost, ["1 of @alice: 0 times"], id="lost"),
        pytest.param(_doubled, ["2 of @alice: 2 times", "after 2"], id="doubled"),
        pytest.param(_sent_anew, ["2 times", "heard as $another", "after 2"], id="sent anew"),
        pytest.param(_swapped, ["0 of @alice: after 1"], id="in another order"),
        pytest.param(_made_up, ["never said"], id="made up"),
    ],
)
def test_misheard(what: Callable[[list[Heard]], None], words: list[str]) -> None:
    said = _said()
    heard = _heard(said)
    what(heard)
    wrongs = misheard(said, heard)
    assert len(wrongs) == len(words)
    assert all(word in wrong for word, wrong in zip(words, wrongs, strict=True))


def test_what_was_never_acknowledged_is_told_with_the_failures() -> None:
    said = _said()
    said[1].acknowledged, said[1].failures = None, ["503", "503"]
    assert unacknowledged(said) == ["1 of @alice: Counter({'503': 2})"]


def test_pushes_are_of_others_words_and_once_each() -> None:
    said = [*_said(), *_said(BOB)]
    pushed = ["$0@alice", "$2@alice", "$2@alice"]
    assert wrongly_pushed(said, BOB, pushed) == [
        "1 of @alice: pushed 0 times",
        "2 of @alice: pushed 2 times",
    ]


def test_an_application_service_gets_everybodys_words_once_each() -> None:
    said = [*_said(count=1), *_said(BOB, count=2)]
    assert wrongly_bridged(said, ["$0@alice", "$1@bob", "$1@bob"]) == [
        "0 of @bob: bridged 0 times",
        "1 of @bob: bridged 2 times",
    ]
