"""The simulator and its oracle, tried with an operator that is small enough to be seen through.

A good one passes every story; each bad habit is found out by at least one.
"""

import json
from functools import cache
from typing import Any

import pytest
from tests.switch import stories
from tests.switch.kubelet import Faults
from tests.switch.objects import Objects
from tests.switch.operator import Operator
from tests.switch.plain import Habits, Plain, homeserver
from tests.switch.simulation import Simulation
from tests.switch.stories import Sizes, Stage

from homeserver_operator.api.world import Object

pytestmark = pytest.mark.long

SEEDS = range(4)
FEW = range(1)

ALL = {"main", "persister-0", "sync"}

EDITS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "event persisters 1 to 3: all": (
        {}, {"writers": ["persister-0", "persister-1", "persister-2"]}, ALL),
    "event persisters 3 to 2: all": (
        {"writers": ["persister-0", "persister-1", "persister-2"]},
        {"writers": ["persister-0", "persister-1"]}, ALL | {"persister-1"}),
    "event persisters renamed: all": ({}, {"writers": ["other-0"]}, {"main", "sync"}),
    "federation senders 0 to 1: main": ({}, {"senders": ["sender-0"]}, {"main"}),
    "federation senders 1 to 2: main and the sender": (
        {"senders": ["sender-0"]}, {"senders": ["sender-0", "sender-1"]}, {"main", "sender-0"}),
    "federation senders 2 to 1: main and the one that stays": (
        {"senders": ["sender-0", "sender-1"]}, {"senders": ["sender-0"]}, {"main", "sender-0"}),
    "pushers 0 to 2: main": ({}, {"pushers": ["pusher-0", "pusher-1"]}, {"main"}),
    "pushers 2 to 1: main and the one that stays": (
        {"pushers": ["pusher-0", "pusher-1"]}, {"pushers": ["pusher-0"]}, {"main", "pusher-0"}),
    "background tasks move off main: main": ({}, {"background": "night-0"}, {"main"}),
    "background tasks move between workers: main": (
        {"background": "night-0"}, {"background": "day-0"}, {"main"}),
    "a log level: that process": ({}, {"levels": {"persister-0": "DEBUG"}}, {"persister-0"}),
    "a log level of a group: that group": ({}, {"levels": {"sync": "DEBUG"}}, {"sync"}),
    "a group grows: nobody": ({}, {"readers": {"sync": 4}}, set()),
    "a group shrinks: nobody": ({}, {"readers": {"sync": 1}}, set()),
    "the image: all": ({}, {"image": "two"}, ALL),
    "nothing: nobody": ({}, {}, set()),
}  # fmt: skip

each_edit = pytest.mark.parametrize(
    ("before", "after", "restarts"), EDITS.values(), ids=EDITS.keys()
)
MORE_WRITERS: dict[str, Any] = {"writers": ["persister-0", "persister-1"]}


def wanted(body: Object) -> Sizes:
    spec = body["spec"]
    single = ["main", *spec["writers"], *spec["senders"], *spec["pushers"], spec["background"]]
    sizes: Sizes = dict.fromkeys(single, 1)
    return {**sizes, **spec["readers"]}


def stage(before: dict[str, Any] | None = None, habits: Habits = Habits()) -> Stage:  # noqa: B008
    return _stage(json.dumps(before or {}), habits)


@cache
def _stage(before: str, habits: Habits) -> Stage:
    # Whatever is wrong with an operator must show later.
    spec: dict[str, Any] = json.loads(before)
    sim = Simulation(Objects(homeserver(**spec), {}), Operator(Plain(Habits()))).fork(0).settle()
    sim.operator.brain = Plain(habits)
    return Stage(sim, wanted)


def spec_of(on: Stage, after: dict[str, Any]) -> dict[str, Any]:
    return {**on.base.objects.homeserver["spec"], **after}


@each_edit
def test_an_edit_restarts_whom_it_concerns(
    before: dict[str, Any], after: dict[str, Any], restarts: set[str]
) -> None:
    on = stage(before)
    for seed in SEEDS:
        stories.edited(on, spec_of(on, after), restarts, seed)


@each_edit
def test_the_operator_may_die_at_any_write(
    before: dict[str, Any], after: dict[str, Any], restarts: set[str]
) -> None:
    on = stage(before)
    for seed in FEW:
        for death in [*stories.deaths(on, spec_of(on, after), seed)][::3]:
            stories.dies(on, spec_of(on, after), death, seed)


@each_edit
def test_an_edit_may_be_taken_back_at_any_time(
    before: dict[str, Any], after: dict[str, Any], restarts: set[str]
) -> None:
    on = stage(before)
    for seed in FEW:
        steps = 0
        while stories.reverted(on, spec_of(on, after), steps, seed):
            steps += 23


@each_edit
def test_processes_may_die_in_the_middle(
    before: dict[str, Any], after: dict[str, Any], restarts: set[str]
) -> None:
    on = stage(before)
    for seed in SEEDS:
        stories.troubled(on, spec_of(on, after), seed)


@pytest.mark.parametrize("second", [{"image": "two"}, {"senders": ["sender-0"]}, {}])
def test_an_edit_may_come_on_top_of_another(second: dict[str, Any]) -> None:
    on = stage()
    for seed in SEEDS:
        for steps in range(0, 300, 70):
            edits = spec_of(on, MORE_WRITERS), spec_of(on, MORE_WRITERS | second)
            stories.edited_again(on, *edits, steps=steps, seed=seed)


def _refused(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.of = lambda name: None if name in known else "refused"


def _never_warm(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.of = lambda name: None if name in known else "never warm"


def _one_is_refused(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.of = lambda name: (
        "refused" if name not in known and "persister-0" in name else None
    )


def _no_image(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.bad_images = frozenset({"two"})


def _no_room(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults = Faults(room=5)


SPOILT = {
    "Synapse refuses every configuration": ({"image": "two"}, _refused),
    "Synapse refuses one configuration": ({"image": "two"}, _one_is_refused),
    "the new image does not exist": ({"image": "two"}, _no_image),
    "the new processes hang": (MORE_WRITERS, _never_warm),
    "there is no room": (MORE_WRITERS, _no_room),
}


@pytest.mark.parametrize(("after", "spoil"), SPOILT.values(), ids=SPOILT.keys())
def test_what_never_runs_harms_nobody(after: dict[str, Any], spoil: Any) -> None:
    on = stage()
    for seed in SEEDS:
        stories.hopeless(on, spec_of(on, after), spoil, seed)


def test_a_homeserver_that_is_made_again_goes_on_after_its_epochs() -> None:
    on = stage()
    for seed in SEEDS:
        stories.recreated(on, spec_of(on, MORE_WRITERS), seed)


@pytest.mark.parametrize("process", ["main", "persister-0", "sync"])
def test_somebody_restarts_a_deployment_by_hand(process: str) -> None:
    on = stage()
    for seed in SEEDS:
        stories.restart_by_hand(on, process, 0, seed)
        stories.restart_by_hand(on, process, 20 * seed, seed, **MORE_WRITERS)


@pytest.mark.parametrize("process", ["main", "persister-0", "sync"])
def test_somebody_rolls_a_deployment_back_by_hand(process: str) -> None:
    on = stage()
    for seed in SEEDS:
        stories.undone_by_hand(on, process, spec_of(on, MORE_WRITERS), 40 * seed, seed)


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_an_autoscaler_changes_its_mind_in_the_middle(replicas: int) -> None:
    on = stage({"readers": {"sync": None}})
    for seed in SEEDS:
        after = spec_of(on, MORE_WRITERS)
        stories.scaled_by_others(on, "sync", replicas, after, steps=25 * seed, seed=seed)


def _every_story(on: Stage) -> None:
    for seed in range(20):
        stories.edited(on, spec_of(on, MORE_WRITERS), ALL, seed)
        stories.edited(on, spec_of(on, {"senders": ["sender-0"]}), {"main"}, seed)
        stories.reverted(on, spec_of(on, MORE_WRITERS), 20 * seed, seed)
        stories.recreated(on, spec_of(on, MORE_WRITERS), seed)


FOUND_OUT = {
    # The fences find out by themselves, as long as they are told.
    "raises_epochs": "does not serve: superseded",
    "notes_what_an_epoch_means": "disagree about topology",
    "waits_until_all_are_warm": "nobody listened|are not warm",
    "flips_first": "nobody listened",
    "heeds_what_is_recorded": "does not serve: superseded",
    "reuses_live_epochs": "restarted, though nothing was decided",
    "names_replication_by_epoch": "leads to .* of epoch",
    "restarts_only_whom_it_concerns": "nothing of it has changed",
    "looks_again": "does not serve: superseded",
}


@pytest.mark.parametrize("habit", Habits.__dataclass_fields__)
def test_a_bad_habit_is_found_out(habit: str) -> None:
    with pytest.raises(AssertionError, match=FOUND_OUT[habit]):
        _every_story(stage(habits=Habits(**{habit: False})))


def test_a_good_operator_passes() -> None:
    _every_story(stage())
