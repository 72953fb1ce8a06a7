"""The product's core through every switch: any interleaving, any death, any change of mind.

The stories are those of `stories`; what must hold at every step is in `oracle`, and what the end
must look like in `settled`.
"""

from typing import Any

import pytest
from tests.switch import edits, stories, sweeps
from tests.switch.edits import ALL, EDITS, USUAL, Edit, persister, sender
from tests.switch.kubelet import Faults
from tests.switch.simulation import Simulation
from tests.switch.telling import Effort, either, spec_of, stage, told_of

# A story with the same seed is the same story.
pytestmark = [pytest.mark.repeat(1), pytest.mark.long]

MORE_WRITERS = EDITS["event persisters 1 to 3: all"]
BY_OTHERS = [{"name": "sync", "serves": ["sync"]}, *USUAL[1:]]
"""A group whose size is not ours."""


@told_of("edit", EDITS, sample=len(EDITS), soak=Effort(range(20), 1))
def test_an_edit_restarts_whom_it_concerns(edit: Edit, effort: Effort) -> None:
    sweeps.edited(edit, effort)


@told_of("edit", EDITS)
def test_the_operator_may_die_at_any_write(edit: Edit, effort: Effort) -> None:
    sweeps.dies(edit, effort)


@told_of("edit", EDITS)
def test_an_edit_may_be_taken_back_at_any_time(edit: Edit, effort: Effort) -> None:
    sweeps.reverted(edit, effort)


SECOND = {
    name: EDITS[name]
    for name in ("the image: all", "federation senders 1 to 2: main and the sender")
}


@told_of("second", SECOND)
def test_an_edit_may_come_on_top_of_another(second: Edit, effort: Effort) -> None:
    """Whoever has let the old go finishes first: else nobody serves until a third are warm."""
    on = stage(USUAL)
    first = spec_of(on, MORE_WRITERS)
    both = {**first, **(second.also or {"workers": second.after})}
    for seed in effort.seeds:
        for steps in range(0, 480, 3 * effort.stride):
            unheard = stories.edited_again(on, first, both, steps=steps, seed=seed)
            assert not unheard, f"nobody listened for {unheard}"


INSTEAD = {
    f"{then} instead of {first}": (EDITS[first], EDITS[then])
    for first in ("the image: all", "federation senders 1 to 2: main and the sender")
    for then in (
        "a group that only serves is renamed: nobody",
        "everybody's log level: all",
        "a second group for a class: the first",
    )
}


@told_of("first, then", INSTEAD, sample=len(INSTEAD))
def test_an_edit_may_be_taken_back_for_another(first: Edit, then: Edit, effort: Effort) -> None:
    """Those who serve are at the right epoch, and are let go only for who comes after them."""
    on = stage(USUAL)
    for seed in effort.seeds:
        for steps in range(0, 480, 3 * effort.stride):
            specs = spec_of(on, first), spec_of(on, then)
            unheard = stories.edited_again(on, *specs, steps=steps, seed=seed)
            assert not unheard, f"nobody listened for {unheard}"


@told_of("edit", EDITS, soak=Effort(range(20), 1))
def test_processes_may_die_in_the_middle(edit: Edit, effort: Effort) -> None:
    sweeps.troubled(edit, effort)


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


@told_of("name, spoil", SPOILT)
def test_what_never_runs_harms_nobody(name: str, spoil: Any, effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        stories.hopeless(on, spec_of(on, EDITS[name]), spoil, seed)


MOVES: dict[str, frozenset[str]] = {
    "a group that only serves is renamed: nobody": frozenset(),
    "a group is to have nobody, and one that is new has its class: nobody": frozenset(),
    "a second group for a class: the first": ALL - {"sync"},
    "groups that share a class are renamed: nobody": frozenset(),
    "first syncs get a group of their own: nobody": frozenset(),
    "a class moves to a group that is new: nobody": frozenset(),
    "a class moves to one process that is new: nobody": frozenset(),
    "another group that only serves: nobody": frozenset(),
    "a process ceases to serve, and a group that is new has its class: that process": frozenset(),
    "a class that groups share moves to one that is new: both": frozenset(),
}
"""Edits by which others are to answer, and who keeps their pods if not all do."""


@told_of("name, kept", {name: (name, kept) for name, kept in MOVES.items()}, sample=len(MOVES))
def test_who_is_to_have_a_class_and_never_serves_takes_it_from_nobody(
    name: str, kept: frozenset[str], effort: Effort
) -> None:
    on = stage(EDITS[name].before)
    for seed in effort.seeds:
        stories.hopeless(on, spec_of(on, EDITS[name]), _never_warm, seed, kept)


@either
def test_without_an_epoch_only_who_is_refused_stays_as_it_was(effort: Effort) -> None:
    """The others have been replaced one by one, and are again when the edit is taken back."""
    on = stage(USUAL)
    after = spec_of(on, EDITS["an option of everybody: all"])
    for seed in effort.seeds:
        stories.hopeless(on, after, _one_is_refused, seed, frozenset({"persister-0"}))


@either
def test_a_homeserver_that_is_made_again_goes_on_after_its_epochs(effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        stories.recreated(on, spec_of(on, MORE_WRITERS), seed)


@either
def test_a_status_that_was_lost_changes_nothing(effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        stories.status_lost(on, spec_of(on, MORE_WRITERS), seed)


PROCESSES = {name: name for name in ("main", "persister-0", "sync")}


@told_of("process", PROCESSES)
def test_somebody_restarts_a_deployment_by_hand(process: str, effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        stories.restart_by_hand(on, process, 0, seed)
        for steps in range(0, 480, 12 * effort.stride):
            stories.restart_by_hand(on, process, steps, seed, workers=MORE_WRITERS.after)


@told_of("process", PROCESSES)
def test_somebody_rolls_a_deployment_back_by_hand(process: str, effort: Effort) -> None:
    on = stage(USUAL)
    for seed in effort.seeds:
        for steps in range(0, 480, 12 * effort.stride):
            stories.undone_by_hand(on, process, spec_of(on, MORE_WRITERS), steps, seed)


@told_of("replicas", {f"{number} pods": number for number in (1, 3, 5)})
def test_an_autoscaler_changes_its_mind_in_the_middle(replicas: int, effort: Effort) -> None:
    on = stage(BY_OTHERS)
    after = {**on.base.objects.homeserver["spec"],
             "workers": [BY_OTHERS[0], USUAL[1], persister(3), sender(1)]}  # fmt: skip
    for seed in effort.seeds:
        for steps in range(0, 480, 12 * effort.stride):
            stories.scaled_by_others(on, "sync", replicas, after, steps=steps, seed=seed)


def test_the_table_names_processes_that_exist() -> None:
    for name, edit in EDITS.items():
        before = edits.wanted(edits.body(edit.before))
        after = edits.wanted(edits.body(edit.after))
        assert edit.restarts <= before.keys() & after.keys(), name
    assert edits.wanted(edits.body(USUAL)).keys() == ALL
