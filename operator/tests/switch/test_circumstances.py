"""The core where there is no room, where secrets and stores move, and where it has to wait."""

from typing import Any

import pytest
from tests.switch import circumstances, stories
from tests.switch.circumstances import WINDOW, crowd
from tests.switch.edits import ALL, EDITS, SYNC, USUAL, Edit, persister
from tests.switch.kubelet import Faults
from tests.switch.simulation import Simulation
from tests.switch.telling import Effort, either, spec_of, stage, told_of

pytestmark = [pytest.mark.repeat(1), pytest.mark.long]

LOUDER = "everybody's log level: all"
RENAMED = "a group that only serves is renamed: nobody"

CROWDED = {
    "no room for one more, a switch": ("the image: all", 0),
    "room for two more, a switch": ("the image: all", 2),
    "no room for one more, wave by wave": (LOUDER, 0),
    "room for one more, wave by wave": (LOUDER, 1),
    "no room for one more, another name": (RENAMED, 0),
    "room for one more, another name": (RENAMED, 1),
}


@told_of("name, room", CROWDED, sample=len(CROWDED))
def test_where_there_is_no_room_the_old_stop_first(name: str, room: int, effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        edit = EDITS[name]
        circumstances.crowded(on, spec_of(on, edit), set(edit.restarts), room, seed)


@either
def test_in_a_switch_a_writer_that_goes_makes_room_for_one_of_another_name(effort: Effort) -> None:
    """Nobody else has as much as that one asks for."""
    large = {"resources": {"requests": {"memory": "3Gi"}}}
    before, after = (
        [*USUAL[:2], {**persister(1, name), **large}, *USUAL[3:]]
        for name in ("persister", "keeper")
    )
    on, restarts = stage(before), ALL - {"persister-0"}
    spec = spec_of(on, Edit(before, after, restarts))
    for seed in effort.seeds:
        circumstances.crowded(on, spec, {*restarts}, 0, seed)


@either
def test_where_there_is_no_room_all_but_one_of_a_group_outlive_a_mistake(effort: Effort) -> None:
    """And what is left of the mistake does not keep its correction from the room."""
    three = {**SYNC, "replicas": 3}
    on = stage([three, *USUAL[1:]])
    mistake, right = (
        spec_of(on, Edit(USUAL, [{**three, "logLevel": level}, *USUAL[1:]], frozenset()))
        for level in ("DEBUG", "WARNING")
    )
    for seed in effort.seeds:
        circumstances.corrected(on, mistake, right, "sync", seed)


def _no_room(sim: Simulation, _known: frozenset[str]) -> None:
    crowd(sim)


TOO_LARGE = {"resources": {"requests": {"memory": "9Gi"}}}

NEVER = {
    "main asks for more than there is": TOO_LARGE,
    "no node is as main wants it": {"nodeSelector": {"disk": "none"}},
}


@told_of("main", NEVER)
def test_nobody_stops_for_pods_that_would_have_no_room_then(
    main: dict[str, Any], effort: Effort
) -> None:
    on = stage(USUAL)
    spec = on.base.objects.homeserver["spec"]
    for seed in effort.seeds:
        for also in ({}, EDITS["the image: all"].also):
            stories.hopeless(on, {**spec, "main": main, **also}, _no_room, seed)


@either
def test_no_group_goes_for_one_of_another_name_that_would_have_no_room_then(
    effort: Effort,
) -> None:
    on = stage(USUAL)
    renamed, *others = EDITS[RENAMED].after
    larger = Edit(USUAL, [{**renamed, **TOO_LARGE}, *others], frozenset())
    for seed in effort.seeds:
        stories.hopeless(on, spec_of(on, larger), _no_room, seed)


def _cordoned(sim: Simulation, _known: frozenset[str]) -> None:
    sim.kubelet.faults = Faults(cordoned=True)


@told_of("name", {name: name for name in (LOUDER, "the image: all", RENAMED)})
def test_nobody_stops_for_pods_to_which_the_node_of_the_old_ones_is_closed(
    name: str, effort: Effort
) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        stories.hopeless(on, spec_of(on, EDITS[name]), _cordoned, seed)


@either
def test_who_rises_with_no_fence_restarts_wave_by_wave(effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        circumstances.in_waves(on, spec_of(on, EDITS[LOUDER]), seed)


@either
def test_a_rotated_replication_secret_comes_to_all_together(effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        for steps in range(0, 400, 10 * effort.stride):
            circumstances.secret_rotated(on, steps, seed)


REDIS = {
    "from one server to another": ({"host": "redis-1.invalid"}, {"host": "redis-2.invalid"}),
    "to another database": ({"host": "redis-1.invalid"},
                            {"host": "redis-1.invalid", "database": 3}),
    "from the operator's to one's own": ({}, {"host": "redis-1.invalid"}),
    "from one's own to the operator's": ({"host": "redis-1.invalid"}, {}),
}  # fmt: skip


@told_of("before, after", REDIS)
def test_redis_moves_for_all_together(
    before: dict[str, Any], after: dict[str, Any], effort: Effort
) -> None:
    on = stage(USUAL, redis=before)
    spec = {**on.base.objects.homeserver["spec"], "redis": after}
    for seed in effort.seeds:
        stories.edited(on, spec, set(ALL), seed)


@told_of("edit", EDITS)
def test_what_restarts_waits_for_an_approval(edit: Edit, effort: Effort) -> None:
    if not edit.restarts:
        return
    policy = {"approval": "Manual"}
    on = stage(edit.before, restartPolicy=policy)
    for seed in effort.seeds:
        circumstances.approved(on, spec_of(on, edit), set(edit.restarts), seed)


@told_of("edit", EDITS)
def test_what_restarts_waits_for_a_window(edit: Edit, effort: Effort) -> None:
    if not edit.restarts:
        return
    policy = {"maintenanceWindows": [WINDOW]}
    on = stage(edit.before, restartPolicy=policy)
    for seed in effort.seeds:
        for steps in range(0, 480, 12 * effort.stride):
            circumstances.windowed(on, spec_of(on, edit), set(edit.restarts), steps, seed)
