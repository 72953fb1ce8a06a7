"""Log lines are JSON and name the HomeServer."""

import asyncio
import json
import logging

import pytest

from homeserver_operator import logs
from homeserver_operator.api.world import Key


def line(message: str, *args: object, error: BaseException | None = None) -> dict[str, object]:
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, message, args, trace)
    found: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return found


def test_a_line_has_level_logger_message_and_time() -> None:
    found = line("%s is\n%d", "Ä", 2)

    assert found["message"] == "Ä is\n2"
    assert (found["level"], found["logger"]) == ("warning", "x")
    assert str(found["time"]).endswith("+00:00")
    assert "homeserver" not in found


def test_a_line_names_the_homeserver_that_it_is_about() -> None:
    with logs.about(Key("chat", "alpha")):
        assert line("x")["homeserver"] == {"namespace": "chat", "name": "alpha"}
    assert "homeserver" not in line("x")


async def test_tasks_inherit_it_and_others_do_not_see_it() -> None:
    async def inside() -> object:
        return line("x").get("homeserver")

    async def about(name: str) -> object:
        with logs.about(Key("chat", name)):
            return await asyncio.create_task(inside())

    found = await asyncio.gather(about("alpha"), about("beta"), inside())

    assert list(found) == [
        {"namespace": "chat", "name": "alpha"},
        {"namespace": "chat", "name": "beta"},
        None,
    ]


def test_an_exception_is_one_line_too() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0

    assert "Traceback" in str(line("x", error=caught.value)["exception"])
