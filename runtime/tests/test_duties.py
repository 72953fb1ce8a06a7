"""Who can be asked in another's place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from tests.parsed import parsed

from homeserver_runtime.duties import duties


def told(name: str | None = None, *, serves: str = "client", **writers: list[str]) -> set[str]:
    """The duties of a process; without a name it is main."""
    http = {"type": "http", "port": 8008, "resources": [{"names": [serves]}]}
    settings = {
        "instance_map": {
            each: {"host": each, "port": 9093} for each in ("main", "typing-0", "persister-0")
        },
        "stream_writers": {stream: list(names) for stream, names in writers.items()},
        "listeners" if name is None else "worker_listeners": [http],
    }
    return set(duties(parsed(name, **settings)))


def test_readers_of_any_name_can_answer_for_each_other() -> None:
    assert told("reader-x2b") == told("reader-9fk", typing=["typing-0"])


def test_a_writer_that_is_renamed_can_answer_for_itself() -> None:
    assert told("persister-0", events=["persister-0"]) == told("typing-0", events=["typing-0"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            partial(told, "typing-0", typing=["typing-0"]),
            partial(told, "typing-0"),
            id="whose stream moved to main",
        ),
        pytest.param(
            partial(told, "reader", serves="media"),
            partial(told, "reader"),
            id="without the media",
        ),
        pytest.param(partial(told, "reader"), told, id="main"),
        pytest.param(told, partial(told, "reader"), id="a worker"),
    ],
)
def test_not_everybody_can_answer_for_a_process(
    old: Callable[[], set[str]], new: Callable[[], set[str]]
) -> None:
    assert not old() <= new()


def test_main_can_answer_what_it_could_when_a_stream_comes_back_to_it() -> None:
    assert told(typing=["typing-0"]) < told()
