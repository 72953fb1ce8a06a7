"""When the old pods of a switch may be let go."""

from tests.core.scenario import running
from tests.core.worlds import CLIENT, MEDIA, PERSISTER, SENDER, SYNC, usual

MORE_WRITERS = [SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]
MORE_SENDERS = [SYNC, {**SENDER, "replicas": 2}, PERSISTER, CLIENT, MEDIA]


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
