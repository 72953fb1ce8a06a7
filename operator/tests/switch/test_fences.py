"""The simulated launchers keep the protocol's rules in every order of their steps.

The rules themselves are explored in `runtime/tests/fence_model.py`; here it is shown that what the
simulator runs is the same protocol, for several fences at once.
"""

import copy
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.switch.fences import Database, Launch, Launcher
from tests.switch.oracle import BrokenError, Oracle

FAULTS = 2


class World(NamedTuple):
    database: Database
    launchers: list[Launcher]
    faults: int


def _launch(name: str, **fences: int) -> Launch:
    # The maps are the epoch's own, so that the oracle also sees who believes what.
    lists = {"stream_writers": fences.get("topology"), "pusher_instances": [fences.get("push")]}
    return Launch(name, "main" if name == "main" else "worker", "r", fences, lists)


def _key(world: World) -> tuple[object, ...]:
    """A world without what only counts up."""
    database, launchers, faults = world
    numbers = {number: index for index, number in enumerate(sorted(database.sessions))}
    sessions = tuple(
        (each.pod, each.launch.name, each.lock, each.cut) for each in database.sessions.values()
    )
    processes = tuple(
        (each.phase, each.bound, each.has_run, each.linger, each.told_to_go,
         *(numbers.get(n, -1) for n in (each.blocker, each.lock, each.connection)))
        for each in launchers
    )  # fmt: skip
    return sessions, tuple(sorted(database.recorded.items())), processes, faults


def _steps(world: World) -> Iterator[World]:
    """Each possible next step, whoever makes it."""
    for index, launcher in enumerate(world.launchers):
        for name in launcher.steps(world.database):
            yield _after(world, index, name)
        if launcher.phase in {"waiting", "entered", "serving", "superseded"}:
            yield _after(world, index, "terminate")
        if world.faults < FAULTS and launcher.phase not in {"ended", "draining"}:
            yield _after(world, index, "end", fault=1)
            if launcher.phase == "serving" and launcher.lock in world.database.sessions:
                twin = _after(world, index, "steps", fault=1)
                del twin.database.sessions[launcher.lock]
                yield twin
    for number, session in world.database.sessions.items():
        if session.cut:
            twin = copy.deepcopy(world)
            del twin.database.sessions[number]
            yield twin


def _after(world: World, index: int, name: str, *, fault: int = 0) -> World:
    twin = copy.deepcopy(world)
    getattr(twin.launchers[index], name)(twin.database)
    return twin._replace(faults=world.faults + fault)


def explore(launches: list[Launch]) -> tuple[int, set[tuple[str, ...]]]:
    """Visit every world; how many there are, and how they can end."""
    launchers = [Launcher(f"pod-{index}", launch) for index, launch in enumerate(launches)]
    first = World(Database(), launchers, 0)
    ahead, known = deque([first]), {_key(first)}
    ends: set[tuple[str, ...]] = set()
    while ahead:
        world = ahead.popleft()
        Oracle().check_database(world.database)
        moved = False
        for after in _steps(world):
            moved = True
            if _key(after) not in known:
                known.add(_key(after))
                ahead.append(after)
        if not moved:
            ends.add(tuple(launcher.phase for launcher in world.launchers))
    return len(known), ends


PAIRS = {
    "two epochs of one fence": [_launch("main", topology=1), _launch("worker", topology=2)],
    "two of one name": [_launch("worker", topology=1), _launch("worker", topology=1)],
    "one fence in common, in different epochs": [
        _launch("main", topology=1, push=1), _launch("worker", topology=1, push=2)],
    "epochs that cross": [
        _launch("main", topology=1, push=2), _launch("worker", topology=2, push=1)],
}  # fmt: skip


@pytest.mark.parametrize("launches", PAIRS.values(), ids=PAIRS.keys())
def test_no_order_of_steps_lets_two_epochs_or_names_live(launches: list[Launch]) -> None:
    worlds, ends = explore(launches)
    assert worlds > 100
    # Nobody is left waiting for somebody who is gone.
    assert not any("waiting" in phases or "entered" in phases for phases in ends)


def test_who_waits_holds_nothing_and_blocks_nobody() -> None:
    database = Database()
    old = Launcher("a", _launch("main", topology=1))
    new = Launcher("b", _launch("main", topology=2))
    for launcher in (old, new):
        launcher.warm_up(database)
        launcher.enter(database)
    assert (old.phase, new.phase) == ("entered", "waiting")
    again = Launcher("c", _launch("worker", topology=1))
    again.warm_up(database)
    again.enter(database)
    assert again.phase == "entered"
    assert new.steps(database) == ()


def test_a_later_epoch_is_remembered_after_everybody_has_died() -> None:
    database = Database()
    new = Launcher("b", _launch("main", topology=2))
    new.warm_up(database)
    new.enter(database)
    new.end(database)
    database.sessions.clear()
    old = Launcher("a", _launch("main", topology=1))
    old.warm_up(database)
    old.enter(database)
    assert old.phase == "superseded"
    assert old.state()["superseded_by"] == {"fence": "topology", "epoch": 2}
    assert old.state()["recorded"] == {"topology": 2}


def test_who_loses_its_lock_session_to_a_later_epoch_ends() -> None:
    database = Database()
    old = Launcher("a", _launch("main", topology=1))
    for step in ("warm_up", "enter", "connect"):
        getattr(old, step)(database)
    database.sessions.pop(old.lock)
    database.recorded["topology"] = 2
    assert old.steps(database) == ("notice_loss",)
    old.notice_loss(database)
    old.enter(database)
    assert old.phase == "ended"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (_launch("main", topology=1), _launch("worker", topology=2), "two epochs"),
        (_launch("worker", topology=1), _launch("worker", topology=1), "two processes of the name"),
    ],
)
def test_the_oracle_sees_what_the_protocol_prevents(
    first: Launch, second: Launch, says: str
) -> None:
    database = Database()
    for pod, launch in (("a", first), ("b", second)):
        database.open(pod, launch, lock=False)
    with pytest.raises(BrokenError, match=says):
        Oracle().check_database(database)


@pytest.mark.parametrize(
    ("lists", "other", "says"),
    [
        ({"stream_writers": {"events": ["a"]}}, {"stream_writers": {"events": ["b"]}}, "topology"),
        ({"pusher_instances": ["worker"]}, {}, "push"),
        ({"federation_sender_instances": ["worker"]}, {}, "federation"),
        ({"run_background_tasks_on": "worker"}, {}, "run_background_tasks_on"),
    ],
)
def test_the_oracle_sees_disagreement_without_epochs(
    lists: dict[str, object], other: dict[str, object], says: str
) -> None:
    """Whoever forgets to raise an epoch is found out by what the processes believe."""
    database = Database()
    database.open("a", Launch("worker", "worker", "r", {"topology": 1}, lists), lock=False)
    database.open("b", Launch("main", "main", "r", {"topology": 1}, other), lock=False)
    with pytest.raises(BrokenError, match=says):
        Oracle().check_database(database)
