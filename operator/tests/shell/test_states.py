"""What pods say of themselves: asked in time, remembered while nothing changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.shell.conftest import Clock
from tests.shell.objects import pod

from homeserver_operator import states as states_module
from homeserver_operator.fences import Mark
from homeserver_operator.fences.marks import annotation
from homeserver_operator.states import FRESH_FOR, LARGEST, States


class Launcher:
    """Answers GET /state as a pod would."""

    def __init__(self) -> None:
        self.answer: Any = {"phase": "serving", "name": "main"}
        self.status = 200
        self.delay = 0.0
        self.asked = 0
        self.at_once = self.peak = 0
        self.port = 0
        self.pieces = 1

    async def state(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.at_once -= 1
        text = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        size = len(text) // self.pieces + 1
        for start in range(0, len(text), size):
            await response.write(text[start : start + size].encode())
            await asyncio.sleep(0)
        return response


@pytest.fixture
async def launcher() -> AsyncIterator[Launcher]:
    found = Launcher()
    app = web.Application()
    app.router.add_get("/state", found.state)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@pytest.fixture
async def states(launcher: Launcher, clock: Clock) -> AsyncIterator[States]:
    async with States(clock, port=launcher.port) as found:
        yield found


def a_pod(name: str = "main", version: str = "1", **more: Any) -> dict[str, Any]:
    found = pod(name, "127.0.0.1", **{"role": "main", **more})
    found["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": version}
    return found


async def test_a_running_pod_is_asked(states: States) -> None:
    assert await states.of([a_pod()]) == {"main": {"phase": "serving", "name": "main"}}


@pytest.mark.parametrize(
    "unasked",
    [
        pytest.param(a_pod(role="redis"), id="a pod that runs no Synapse"),
        pytest.param(a_pod(phase="Pending"), id="a pod that does not run"),
        pytest.param({**a_pod(), "status": {"phase": "Running"}}, id="a pod without address"),
        pytest.param({**a_pod(), "status": None}, id="a pod without status"),
    ],
)
async def test_others_are_not_asked(
    states: States, launcher: Launcher, unasked: dict[str, Any]
) -> None:
    assert await states.of([unasked]) == {}
    assert launcher.asked == 0


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param({"phase": "serving"}, 503, id="an error"),
        pytest.param("<html>", 200, id="no JSON"),
        pytest.param([1], 200, id="JSON that is no object"),
        pytest.param("[" * 20_000, 200, id="JSON that is nested too deeply"),
        pytest.param({"x": "x" * LARGEST}, 200, id="too much"),
    ],
)
async def test_a_pod_that_answers_nonsense_is_absent(
    states: States, launcher: Launcher, answer: Any, status: int
) -> None:
    launcher.answer, launcher.status = answer, status

    assert await states.of([a_pod()]) == {}


async def test_an_answer_may_come_in_pieces(states: States, launcher: Launcher) -> None:
    launcher.pieces = 7

    assert await states.of([a_pod()]) == {"main": {"phase": "serving", "name": "main"}}


async def test_a_pod_that_does_not_answer_in_time_is_absent(
    states: States, launcher: Launcher, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(states_module, "TIMEOUT", 0.1)
    launcher.delay = 5
    async with States(clock, port=launcher.port) as impatient:
        assert await impatient.of([a_pod()]) == {}


async def test_a_pod_that_refuses_connections_is_absent(clock: Clock) -> None:
    async with States(clock, port=9) as found:
        assert await found.of([a_pod()]) == {}


async def test_a_serving_pod_is_not_asked_again_while_its_object_stays(
    states: States, launcher: Launcher, clock: Clock
) -> None:
    first = await states.of([a_pod()])
    clock.now = FRESH_FOR - 1

    assert await states.of([a_pod()]) == first
    assert launcher.asked == 1


async def test_a_changed_pod_is_asked_again(states: States, launcher: Launcher) -> None:
    await states.of([a_pod()])
    await states.of([a_pod(version="2")])

    assert launcher.asked == 2


async def test_an_old_answer_is_not_believed(
    states: States, launcher: Launcher, clock: Clock
) -> None:
    await states.of([a_pod()])
    clock.now = FRESH_FOR

    await states.of([a_pod()])

    assert launcher.asked == 2


async def test_a_pod_that_is_not_serving_yet_is_asked_every_time(
    states: States, launcher: Launcher
) -> None:
    launcher.answer = {"phase": "warming"}
    await states.of([a_pod()])
    launcher.answer = {"phase": "serving"}

    assert await states.of([a_pod()]) == {"main": {"phase": "serving"}}


async def test_a_pod_that_serves_without_its_fences_is_asked_every_time(
    states: States, launcher: Launcher
) -> None:
    """It takes them again, and its object does not change."""
    pod = a_pod()
    pod["metadata"]["annotations"] = annotation({"topology": Mark(2, "content")})
    launcher.answer = {"phase": "serving", "fences": {}}
    await states.of([pod])
    launcher.answer = {"phase": "serving", "fences": {"topology": 2}}
    assert await states.of([pod]) == {"main": launcher.answer}
    await states.of([pod])

    assert launcher.asked == 2


async def test_answers_of_pods_that_are_gone_are_forgotten(states: States, clock: Clock) -> None:
    for number in range(50):
        clock.now += FRESH_FOR / 10
        await states.of([a_pod(f"pod-{number}")])

    assert len(states._remembered) <= 11


async def test_few_pods_are_asked_at_a_time(states: States, launcher: Launcher) -> None:
    launcher.delay = 0.05
    found = await states.of([a_pod(f"pod-{number}") for number in range(60)])

    assert len(found) == 60
    assert launcher.peak <= states_module.CONCURRENCY
