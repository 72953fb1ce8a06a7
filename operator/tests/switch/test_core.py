"""The product's core through every switch: any interleaving, any death, any change of mind.

The stories are those of `stories`; what must hold at every step is in `oracle`, and what the end
must look like in `settled`.
"""

import json
from functools import cache
from typing import Any

import pytest
from tests.core import case
from tests.switch import edits, stories
from tests.switch.edits import ALL, EDITS, USUAL, Edit, persister, sender
from tests.switch.kubelet import Faults
from tests.switch.objects import Objects
from tests.switch.operator import Core, Operator
from tests.switch.simulation import Simulation
from tests.switch.stories import Stage

from homeserver_operator.api import actions

pytestmark = pytest.mark.skipif(
    not hasattr(actions, "Scale"), reason="the core does not plan hand-overs yet"
)

SEEDS = range(4)
FEW = range(1)
MANY = range(200)
DEATHS = 7
"""Of so many deaths a quick run dies one; `make soak` dies all."""

each_edit = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
MORE_WRITERS = EDITS["event persisters 1 to 3: all"]
BY_OTHERS = [{"name": "sync", "serves": ["sync"]}, *USUAL[1:]]
"""A group whose size is not ours."""


def stage(workers: list[dict[str, Any]]) -> Stage:
    return _stage(json.dumps(workers))


@cache
def _stage(workers: str) -> Stage:
    objects = Objects(edits.body(json.loads(workers)), {})
    sim = Simulation(objects, Operator(Core(case.DEFAULTS))).fork(0)
    # Nothing served before, so nobody has to be waited for.
    sim.oracle.excused = True
    made = Stage(sim, edits.wanted)
    made.at_rest(sim)
    sim.oracle.excused = False
    return made


def spec_of(on: Stage, edit: Edit) -> dict[str, Any]:
    return {**on.base.objects.homeserver["spec"], "workers": edit.after, **edit.also}


@each_edit
def test_an_edit_restarts_whom_it_concerns(edit: Edit) -> None:
    on = stage(edit.before)
    for seed in SEEDS:
        stories.edited(on, spec_of(on, edit), set(edit.restarts), seed)


@each_edit
def test_the_operator_may_die_at_any_write(edit: Edit) -> None:
    on = stage(edit.before)
    for seed in FEW:
        for death in [*stories.deaths(on, spec_of(on, edit), seed)][::DEATHS]:
            stories.dies(on, spec_of(on, edit), death, seed)


@each_edit
def test_an_edit_may_be_taken_back_at_any_time(edit: Edit) -> None:
    on = stage(edit.before)
    for seed in FEW:
        steps = 0
        while stories.reverted(on, spec_of(on, edit), steps, seed):
            steps += 47


@pytest.mark.parametrize(
    "second", ["the image: all", "federation senders 1 to 2: main and the sender"]
)
def test_an_edit_may_come_on_top_of_another(second: str) -> None:
    """Whoever has let the old go finishes first: else nobody serves until a third are warm."""
    on = stage(USUAL)
    first = spec_of(on, MORE_WRITERS)
    other = EDITS[second]
    both = {**first, **other.also}
    if not other.also:
        both["workers"] = other.after
    for seed in SEEDS:
        for steps in range(0, 480, 60):
            unheard = stories.edited_again(on, first, both, steps=steps, seed=seed)
            assert not unheard, f"nobody listened for {unheard}"


@each_edit
def test_processes_may_die_in_the_middle(edit: Edit) -> None:
    on = stage(edit.before)
    for seed in SEEDS:
        stories.troubled(on, spec_of(on, edit), seed)


@pytest.mark.soak
@each_edit
def test_many_stories(edit: Edit) -> None:
    on = stage(edit.before)
    for death in stories.deaths(on, spec_of(on, edit), 0):
        stories.dies(on, spec_of(on, edit), death, 0)
    for seed in MANY:
        stories.edited(on, spec_of(on, edit), set(edit.restarts), seed)
        stories.troubled(on, spec_of(on, edit), seed)
        stories.reverted(on, spec_of(on, edit), 3 * seed, seed)


def _refused(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.of = lambda name: None if name in known else "refused"


def _never_warm(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.of = lambda name: None if name in known else "never warm"


def _one_is_refused(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults.of = lambda name: (
        "refused" if name not in known and "persister-0" in name else None
    )


def _no_image(sim: Simulation, known: frozenset[str]) -> None:
    sim.kubelet.faults = Faults(bad_images=frozenset({"runtime.invalid/synapse:8"}))


SPOILT = {
    "Synapse refuses every configuration": ("an option of everybody: all", _refused),
    "the new image does not exist": ("the image: all", _no_image),
    "the new processes hang": ("event persisters 1 to 3: all", _never_warm),
    "one of the new shard map is refused": ("event persisters 1 to 3: all", _one_is_refused),
}


@pytest.mark.parametrize(("name", "spoil"), SPOILT.values(), ids=SPOILT.keys())
def test_what_never_runs_harms_nobody(name: str, spoil: Any) -> None:
    on = stage(USUAL)
    for seed in SEEDS:
        stories.hopeless(on, spec_of(on, EDITS[name]), spoil, seed)


def test_without_an_epoch_only_who_is_refused_stays_as_it_was() -> None:
    """The others have been replaced one by one, and are again when the edit is taken back."""
    on = stage(USUAL)
    after = spec_of(on, EDITS["an option of everybody: all"])
    for seed in SEEDS:
        stories.hopeless(on, after, _one_is_refused, seed, frozenset({"persister-0"}))


def test_a_homeserver_that_is_made_again_goes_on_after_its_epochs() -> None:
    on = stage(USUAL)
    for seed in SEEDS:
        stories.recreated(on, spec_of(on, MORE_WRITERS), seed)


def test_a_status_that_was_lost_changes_nothing() -> None:
    on = stage(USUAL)
    for seed in SEEDS:
        stories.status_lost(on, spec_of(on, MORE_WRITERS), seed)


@pytest.mark.parametrize("process", ["main", "persister-0", "sync"])
def test_somebody_restarts_a_deployment_by_hand(process: str) -> None:
    on = stage(USUAL)
    for seed in SEEDS:
        stories.restart_by_hand(on, process, 0, seed)
        after = {"workers": MORE_WRITERS.after}
        stories.restart_by_hand(on, process, 40 * seed, seed, **after)


@pytest.mark.parametrize("process", ["main", "persister-0", "sync"])
def test_somebody_rolls_a_deployment_back_by_hand(process: str) -> None:
    on = stage(USUAL)
    for seed in SEEDS:
        stories.undone_by_hand(on, process, spec_of(on, MORE_WRITERS), 60 * seed, seed)


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_an_autoscaler_changes_its_mind_in_the_middle(replicas: int) -> None:
    on = stage(BY_OTHERS)
    after = {**on.base.objects.homeserver["spec"],
             "workers": [BY_OTHERS[0], USUAL[1], persister(3), sender(1)]}  # fmt: skip
    for seed in SEEDS:
        stories.scaled_by_others(on, "sync", replicas, after, steps=40 * seed, seed=seed)


def test_the_table_names_processes_that_exist() -> None:
    for name, edit in EDITS.items():
        before = edits.wanted(edits.body(edit.before))
        after = edits.wanted(edits.body(edit.after))
        assert edit.restarts <= before.keys() & after.keys(), name
    assert edits.wanted(edits.body(USUAL)).keys() == ALL
