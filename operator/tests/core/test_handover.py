"""When the old pods of a switch may be let go."""

from tests.core.scenario import running
from tests.core.worlds import CLIENT, MEDIA, PERSISTER, SENDER, SYNC, USUAL, usual

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
