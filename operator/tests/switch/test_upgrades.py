"""Another release of the operator takes over, and somebody edits: nobody restarts, or all.

Of the product's core, in any interleaving; what must hold at every step is in `oracle`.
"""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.core.case import DEFAULTS
from tests.core.upgrades import NEXT_IMAGE, installer
from tests.switch import edits, stories
from tests.switch.edits import EDITS, Edit
from tests.switch.operator import Core
from tests.switch.simulation import Simulation
from tests.switch.stories import Stage, pods
from tests.switch.telling import Effort, spec_of, stage, told_of

from homeserver_operator.api.observed import is_synapse
from homeserver_operator.api.world import Object

# A story with the same seed is the same story.
pytestmark = [pytest.mark.repeat(1), pytest.mark.long]


def upgraded(edit: Edit, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage of an edit, where an operator of another release has nothing left to do."""
    on = stage(edit.before)
    base = copy.deepcopy(on.base)
    installer(monkeypatch)(SimpleNamespace(), 2)
    base.operator.brain = Core(replace(DEFAULTS, image=NEXT_IMAGE))
    base.operator.awake = True
    before = pods(base)
    base.settle()
    assert pods(base) == before
    return replace(on, base=base)


def restarts(edit: Edit) -> set[str]:
    """Everybody who stays, if anybody restarts or is new."""
    before, after = (edits.wanted(edits.body(each)) for each in (edit.before, edit.after))
    if not edit.restarts and not after.keys() - before.keys():
        return set()
    return {process for process in before.keys() & after.keys() if after[process] != 0}


@told_of("edit", EDITS, soak=Effort(range(4), 1))
def test_an_edit_restarts_nobody_or_all(
    edit: Edit, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = upgraded(edit, monkeypatch)
    for seed in effort.seeds:
        stories.edited(on, spec_of(on, edit), restarts(edit), seed)


@told_of("edit", EDITS, sample=2)
def test_the_operator_may_die_at_any_write(
    edit: Edit, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = upgraded(edit, monkeypatch)
    for seed in effort.seeds:
        for death in [*stories.deaths(on, spec_of(on, edit), seed)][:: effort.stride]:
            stories.dies(on, spec_of(on, edit), death, seed)


@told_of("edit", EDITS, sample=2)
def test_taken_back_on_the_way_all_are_of_one_release(
    edit: Edit, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the old one if nothing was written yet, else of the new one."""
    on = upgraded(edit, monkeypatch)
    old = dict(on.base.objects.homeserver["spec"])
    for seed in effort.seeds:
        for steps in range(0, 480, 8 * effort.stride):
            sim = on.begin(seed)
            sim.replace(spec_of(on, edit))
            sim.run(steps)
            sim.replace(old)
            on.at_rest(sim)
            images = {item["spec"]["containers"][0]["image"] for item in synapse(sim)}
            assert len(images) == 1


def synapse(sim: Simulation) -> list[Object]:
    return [pod for pod in sim.objects.of_kind("Pod") if is_synapse(pod)]
