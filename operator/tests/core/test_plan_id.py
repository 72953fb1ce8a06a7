"""What an approval names: a plan's id stands for exactly its restarts."""

import pytest

from homeserver_operator.api.restarts import Restart, Wave
from homeserver_operator.plan.consent import plan_id

WAVES = (
    Wave((Restart("sync-0", "its options change"), Restart("sync-1", "the image changes"))),
    Wave((Restart("main", "event persisters change"),), {"topology": 4}),
)
REVISIONS = {"sync-0": "a", "sync-1": "a", "main": "b"}


def test_a_plan_keeps_its_name_while_it_is_the_same() -> None:
    retold = tuple(
        Wave(tuple(Restart(each.process, "in other words") for each in wave.restarts), wave.epochs)
        for wave in WAVES
    )
    assert plan_id(WAVES, REVISIONS) == plan_id(retold, dict(reversed(REVISIONS.items())))


@pytest.mark.parametrize(
    ("waves", "revisions"),
    [
        pytest.param(WAVES[:1], REVISIONS, id="a wave fewer"),
        pytest.param(WAVES[::-1], REVISIONS, id="another order"),
        pytest.param(
            (WAVES[0], Wave(WAVES[1].restarts, {"topology": 5})), REVISIONS, id="an epoch"
        ),
        pytest.param((Wave(WAVES[0].restarts[:1]), WAVES[1]), REVISIONS, id="a process fewer"),
        pytest.param(WAVES, {**REVISIONS, "main": "c"}, id="a later edit of the same process"),
    ],
)
def test_an_approval_is_not_taken_for_another_plan(
    waves: tuple[Wave, ...], revisions: dict[str, str]
) -> None:
    assert plan_id(waves, revisions) != plan_id(WAVES, REVISIONS)
