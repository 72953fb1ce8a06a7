from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.services import LOOPBACK

from e2e.cluster.ports import free_port
from homeserver_runtime.failure import TERMINATION_MESSAGE_BYTES
from homeserver_runtime.probes import (
    CUT_OFF_SECONDS,
    REACTOR_SILENCE_SECONDS,
    Judge,
    ProbeServer,
)
from homeserver_runtime.replication import RedisWatch
from homeserver_runtime.state import DatabaseFacts, Replication, Snapshot, State

if TYPE_CHECKING:
    from collections.abc import Iterator

CAUGHT_UP = Replication(connected=True)
BEHIND = Replication(connected=True, missing=("events",))
DISCONNECTED = Replication(connected=False)


@dataclasses.dataclass
class World:
    """A process whose clock and Redis a test moves."""

    seconds: float = 1000.0
    redis_answers: bool = True

    def __post_init__(self) -> None:
        first = Snapshot(name="sync-0", role="worker", revision="r1", synapse="1.163.2")
        self.state = State(first, clock=self.clock)
        self.judge = Judge(self.state, clock=self.clock)
        self.watch = RedisWatch(self.state, lambda: self.redis_answers, clock=self.clock)
        self.judge.watch_redis(self.watch.cut_off_seconds)

    def clock(self) -> float:
        return self.seconds

    def ready_after(self, seconds: float, replication: Replication) -> bool:
        self.seconds += seconds
        self.state.beat(replication)
        self.watch.look()
        return self.judge.ready().ok


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def serving(world: World) -> World:
    world.state.change(phase="serving")
    assert world.ready_after(1, CAUGHT_UP)
    return world


def test_a_process_is_started_once_it_is_warm(world: World) -> None:
    assert not world.judge.started().ok
    world.state.change(warm=True)
    assert world.judge.started().ok


@pytest.mark.parametrize("phase", ["warming", "migrating", "draining"])
def test_only_a_serving_process_is_ready(serving: World, phase: str) -> None:
    serving.state.change(phase=phase)
    verdict = serving.judge.ready()
    assert (verdict.ok, verdict.reason) == (False, phase)


def test_whom_a_process_waits_for_is_told(world: World) -> None:
    world.state.change(phase="migrating", waiting_for="main to make the schema")
    assert world.judge.ready().reason == "migrating, waiting for main to make the schema"


def test_a_new_process_is_not_ready_before_it_has_caught_up(world: World) -> None:
    world.state.change(phase="serving")
    world.redis_answers = False
    assert not world.ready_after(1, DISCONNECTED)
    world.redis_answers = True
    assert not world.ready_after(100, BEHIND)
    assert world.judge.ready().reason == "replication not caught up with events"
    assert world.ready_after(1, CAUGHT_UP)


def test_a_process_stays_ready_while_redis_is_down_for_all(serving: World) -> None:
    serving.redis_answers = False
    assert serving.ready_after(1, DISCONNECTED)
    assert serving.ready_after(10 * CUT_OFF_SECONDS, DISCONNECTED)


def test_a_process_has_time_to_reconnect_after_redis_is_back(serving: World) -> None:
    serving.redis_answers = False
    assert serving.ready_after(10 * CUT_OFF_SECONDS, DISCONNECTED)
    serving.redis_answers = True
    assert serving.ready_after(1, DISCONNECTED)
    assert serving.ready_after(CUT_OFF_SECONDS - 1, DISCONNECTED)
    assert not serving.ready_after(2, DISCONNECTED)


def test_a_process_that_alone_is_cut_off_is_unready_until_it_has_caught_up(
    serving: World,
) -> None:
    assert serving.ready_after(1, DISCONNECTED)
    assert not serving.ready_after(CUT_OFF_SECONDS + 1, DISCONNECTED)
    assert "this process alone is cut off" in serving.judge.ready().reason
    assert not serving.ready_after(1, BEHIND)
    assert serving.ready_after(1, CAUGHT_UP)


def test_a_process_that_catches_up_after_a_reconnect_stays_ready(serving: World) -> None:
    assert serving.ready_after(1, DISCONNECTED)
    assert serving.ready_after(1, BEHIND)
    assert serving.ready_after(10 * CUT_OFF_SECONDS, BEHIND)


def test_a_process_whose_reactor_has_not_run_is_alive_however_long_it_takes(world: World) -> None:
    world.state.change(phase="migrating")
    world.seconds += 100 * REACTOR_SILENCE_SECONDS
    assert world.judge.live().ok


def test_a_reactor_that_has_stopped_beating_is_not_alive(serving: World) -> None:
    serving.seconds += REACTOR_SILENCE_SECONDS
    assert serving.judge.live().ok
    serving.seconds += 1
    verdict = serving.judge.live()
    assert (verdict.ok, verdict.reason) == (False, "the reactor has been stuck for 61 s")
    assert verdict.details == {"phase": "serving", "heartbeat_age": 61.0}


@pytest.fixture
def port(world: World) -> Iterator[int]:
    port = free_port()
    server = ProbeServer(port, world.state, world.judge)
    server.start()
    yield port
    server.shutdown()
    server.server_close()


def get(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_probes_are_answered_with_the_verdict_and_its_reason(world: World, port: int) -> None:
    assert get(port, "/started") == (503, {"reason": "warming up"})
    alive = {"reason": "warming", "phase": "warming", "heartbeat_age": None}
    assert get(port, "/live?verbose") == (200, alive)
    world.state.change(warm=True)
    assert get(port, "/started") == (200, {"reason": "warm"})
    assert get(port, "/ready")[0] == 503


def test_state_says_what_the_operator_wants_to_know(world: World, port: int) -> None:
    world.seconds += 2.5
    world.state.reach("warm")
    world.state.beat(BEHIND)
    status, document = get(port, "/state")
    assert document.pop("started") > 0
    assert (status, document) == (
        200,
        {
            "name": "sync-0",
            "role": "worker",
            "revision": "r1",
            "phase": "warming",
            "waiting_for": None,
            "synapse": "1.163.2",
            "replication": {"connected": True, "caught_up": False},
            "database": {
                "schema_version": None,
                "compat_version": None,
                "image_schema_version": None,
                "max_connections": None,
            },
            "fences": {},
            "recorded": {},
            "superseded_by": None,
            "shard_maps": {},
            "seconds": {"warm": 2.5, "entered": None, "serving": None, "ready": None},
        },
    )


def test_a_path_that_does_not_exist_tells_those_that_do(port: int) -> None:
    status, body = get(port, "/health")
    assert status == 404
    assert body["reason"] == "no such path; there are /started, /ready, /live, /state"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(BrokenPipeError(), "", id="an asker that has gone is no news"),
        pytest.param(ValueError("a defect"), "a defect", id="a defect is told"),
    ],
)
def test_errors_of_an_answer(
    world: World, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    with ProbeServer(0, world.state, world.judge) as server:
        try:
            raise error
        except type(error):
            server.handle_error(None, (LOOPBACK, 1))

    printed = capsys.readouterr().err
    assert words in printed
    assert bool(printed) == bool(words)


def test_a_state_that_has_much_to_say_still_fits_a_termination_message() -> None:
    fences = dict.fromkeys(
        ("topology", "federation", "push", "backgroundTasks", "userDirectory", "appservices"),
        2**31 - 1,
    )
    state = State(Snapshot(name="n" * 63, role="worker", revision="r" * 63, synapse="1.163.2"))
    state.change(
        waiting_for="ä" * 10_000,
        fences=fences,
        recorded=fences,
        superseded_by=("topology", 2**31 - 1),
        shard_maps=dict.fromkeys(("topology", "federation", "push"), "f" * 16),
        database=DatabaseFacts(
            schema_version=94, compat_version=84, image_schema_version=94, max_connections=1000
        ),
    )
    document = state.now.document()
    assert len(json.dumps(document, ensure_ascii=False).encode()) < TERMINATION_MESSAGE_BYTES - 100
    assert document["waiting_for"].endswith("ä…")
