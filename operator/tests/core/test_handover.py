"""When the old pods of a switch may be let go."""

import pytest
from tests.core.scenario import Scenario, running
from tests.core.worlds import CLIENT, MEDIA, PERSISTER, SENDER, SYNC, USUAL, usual

from homeserver_operator.api.world import ObjectKey
from homeserver_operator.fences import TOPOLOGY, Mark

MORE_WRITERS = [SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]
MORE_SENDERS = [SYNC, {**SENDER, "replicas": 2}, PERSISTER, CLIENT, MEDIA]

NOTIFIER = {"name": "notifier", "runs": ["appservices"]}


def test_going_back_with_one_fence_does_not_let_those_go_who_rise_with_another() -> None:
    """One edit is taken back and another made at once: not yet are there pods for the second."""
    scenario = running(body=usual())
    scenario.edit(workers=MORE_WRITERS)
    scenario.step()
    scenario.cluster.settle()
    scenario.edit(workers=MORE_SENDERS)
    scenario.step()
    assert not scenario.decide().plan.scales
    scenario.converge()


def test_taking_an_edit_back_does_not_let_those_go_who_are_wanted_again() -> None:
    """The new pods are there, but the old ones serve, and so does the worker that was to go."""
    body = usual()
    scenario = running(body={**body, "spec": {**body["spec"], "workers": [*USUAL, NOTIFIER]}})
    scenario.edit(workers=USUAL)
    scenario.step()
    scenario.cluster.settle()
    scenario.edit(workers=[*USUAL, NOTIFIER])
    assert not scenario.decide().plan.scales
    scenario.converge()


@pytest.mark.parametrize(
    ("epoch", "begins"),
    [(1, 2), (7, 8)],
    ids=["to the same epoch, by which it meant something else", "to a later epoch"],
)
def test_a_former_life_that_counted_is_gone_on_from(epoch: int, begins: int) -> None:
    """The database alone remembers that one; some of its processes might still be there."""
    scenario = Scenario(body=usual())
    scenario.cluster.controllers.recorded[TOPOLOGY] = Mark(epoch, "of a former life")
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"
    assert scenario.body["status"]["epochs"][TOPOLOGY] == begins


def test_pods_that_come_back_to_their_own_epoch_go_on_with_it() -> None:
    scenario = running(body=usual())
    for pod in scenario.cluster.world.of_kind("Pod").values():
        scenario.cluster.forget(ObjectKey("Pod", pod["metadata"]["name"]))
    before = scenario.body["status"]["epochs"]
    scenario.converge()
    assert scenario.body["status"]["epochs"] == before
