"""More processes than may warm up at a time: any interleaving, any death, any change of mind."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.switch import circumstances, edits, stories, sweeps
from tests.switch.edits import Edit, persister, pusher, sender
from tests.switch.kubelet import Faults
from tests.switch.replicasets import is_leaving
from tests.switch.simulation import Simulation
from tests.switch.stories import Stage, pods
from tests.switch.telling import Effort, either, spec_of, stage, told_of

from homeserver_operator.api.observed import controller_of, is_synapse

pytestmark = [pytest.mark.repeat(1), pytest.mark.long]

SYNC = {"name": "sync", "replicas": 3, "serves": ["sync"]}
READERS = [SYNC, {"name": "client", "replicas": 1, "serves": ["client"]},
           {"name": "login", "replicas": 2, "serves": ["login"]}]  # fmt: skip
MANY = [*READERS, persister(2), sender(2), pusher(1)]
TWO = {"restartPolicy": {"maxWarming": 2}}
IMAGE = "runtime.invalid/synapse:8"
EVERYBODY = frozenset(edits.wanted(edits.body(MANY)))

EDITS: dict[str, Edit] = {
    "the image: all": Edit(MANY, MANY, EVERYBODY, {**TWO, "image": IMAGE}),
    "event persisters 2 to 4: all": Edit(
        MANY, [*READERS, persister(4), sender(2), pusher(1)], EVERYBODY, TWO),
    "everybody's log level: all": Edit(MANY, MANY, EVERYBODY, {**TWO, "logLevel": "DEBUG"}),
}  # fmt: skip


# A smaller seed is not a simpler story.
told = settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])


class Watch:
    """How many pods that came since the beginning warmed up at the same time, at most."""

    def __init__(self, sim: Simulation) -> None:
        self.before = frozenset[str]().union(*pods(sim).values())
        self.most = 0

    def look(self, sim: Simulation) -> None:
        """Count, as long as somebody serves who was there before."""
        cold, serving = 0, False
        # Their pods are about to be told.
        over = {
            each["metadata"]["uid"]
            for each in sim.objects.of_kind("ReplicaSet")
            if not each["spec"]["replicas"]
        }
        for pod in sim.objects.of_kind("Pod"):
            machine = sim.kubelet.machines[pod["metadata"]["name"]]
            launcher, old = machine.launcher, pod["metadata"]["uid"] in self.before
            if not is_synapse(pod) or is_leaving(pod) or controller_of(pod) in over:
                continue
            serving |= bool(old and launcher and launcher.phase == "serving")
            cold += not old and not (launcher and launcher.warm)
        self.most = max(self.most, cold if serving else 0)


def watched(on: Stage, seed: int, *acts: Callable[[Simulation], None], steps: int = 0) -> Watch:
    """One act after the other, so many steps in between; the world comes to rest."""
    sim = on.begin(seed)
    watch = Watch(sim)
    for act in acts[:-1]:
        act(sim)
        for _ in range(steps):
            sim.step()
            watch.look(sim)
    acts[-1](sim)
    while sim.step():
        watch.look(sim)
    on.at_rest(sim)
    return watch


def edit(spec: dict[str, Any]) -> Callable[[Simulation], None]:
    return lambda sim: sim.replace(spec)


@told
@given(st.integers(0, 999), st.integers(1, 9), st.sampled_from(sorted(EDITS)))
def test_no_more_pods_warm_up_at_a_time_than_may(seed: int, most: int, name: str) -> None:
    """Or than the largest group has, which starts as a whole."""
    on = stage(MANY)
    spec = spec_of(on, EDITS[name]) | {"restartPolicy": {"maxWarming": most}}
    assert 0 < watched(on, seed, edit(spec)).most <= max(most, 3)


@told
@given(st.integers(0, 999), st.integers(1, 9), st.integers(0, 300))
def test_another_edit_in_the_middle_brings_no_more_of_them(
    seed: int, most: int, steps: int
) -> None:
    on = stage(MANY)
    policy = {"restartPolicy": {"maxWarming": most}}
    first, second = (
        spec_of(on, EDITS[name]) | policy
        for name in ("the image: all", "event persisters 2 to 4: all")
    )
    acts = edit(first), edit(second | {"image": IMAGE})
    assert watched(on, seed, *acts, steps=steps).most <= max(most, 3)


def test_without_a_bound_all_warm_up_at_the_same_time() -> None:
    """What the others count is there to be counted."""
    on = stage(MANY)
    spec = spec_of(on, EDITS["the image: all"]) | {"restartPolicy": {"maxWarming": 99}}
    assert max(watched(on, seed, edit(spec)).most for seed in range(4)) > 6


@told_of("edit", EDITS)
def test_an_edit_restarts_whom_it_concerns(edit: Edit, effort: Effort) -> None:
    sweeps.edited(edit, effort)


@told_of("edit", EDITS)
def test_the_operator_may_die_at_any_write(edit: Edit, effort: Effort) -> None:
    sweeps.dies(edit, effort)


@told_of("edit", EDITS)
def test_an_edit_may_be_taken_back_at_any_time(edit: Edit, effort: Effort) -> None:
    sweeps.reverted(edit, effort)


@told_of("edit", EDITS)
def test_processes_may_die_in_the_middle(edit: Edit, effort: Effort) -> None:
    sweeps.troubled(edit, effort)


@either
def test_where_there_is_no_room_the_old_stop_first(effort: Effort) -> None:
    on = stage(MANY)
    for seed in effort.seeds:
        for room in (0, 1, 3):
            circumstances.crowded(
                on, spec_of(on, EDITS["the image: all"]), set(EVERYBODY), room, seed
            )


SMALL = {"resources": {"requests": {"memory": "1Gi"}}}
LARGE = {"resources": {"requests": {"memory": "2Gi"}}}


@either
def test_a_new_process_without_room_is_to_have_that_of_one_which_waits(effort: Effort) -> None:
    """It comes first, and is larger than main, of which alone there are new pods so far."""
    last = {**persister(1, "writer"), **LARGE}
    on = stage([last], main=SMALL)
    spec = {**on.base.objects.homeserver["spec"], "restartPolicy": {"maxWarming": 1},
            "workers": [{"name": "early", "writes": ["typing"], **LARGE}, last]}  # fmt: skip
    for seed in effort.seeds:
        sim = on.begin(seed)
        sim.oracle.excused = True
        before = pods(sim)
        circumstances.crowd(sim)
        sim.replace(spec)
        sim.settle()
        assert stories.restarted(before, pods(sim)) == {"main", "writer-0"}
        sim.kubelet.faults = Faults()
        on.at_rest(sim)


@either
def test_of_an_image_that_does_not_exist_there_are_no_more_pods_than_may_warm_up(
    effort: Effort,
) -> None:
    on = stage(MANY)
    for seed in effort.seeds:
        sim = on.begin(seed)
        before = pods(sim)
        sim.kubelet.faults = Faults(bad_images=frozenset({IMAGE}))
        sim.replace(spec_of(on, EDITS["the image: all"]))
        sim.settle()
        now = pods(sim)
        assert all(before[process] <= now[process] for process in before)
        assert sum(map(len, now.values())) - sum(map(len, before.values())) == 2
