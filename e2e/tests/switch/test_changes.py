"""Every change of the table, in a cluster, while people talk."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from e2e.tests.switch.changes import GROWS, SHRINKS, Change
from e2e.tests.switch.making import Made, check, make
from e2e.tests.switch.observing import observed
from e2e.tests.switch.topology import Pair

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(GROWS, id="a homeserver grows"),
        pytest.param([*GROWS, *SHRINKS], id="the whole table", marks=pytest.mark.soak),
    ],
)
def test_who_restarts_never_overlaps_and_nobody_misses_a_word(
    pair: Pair, changes: Sequence[Change]
) -> None:
    made: list[Made] = []
    # On the same database server, and none of its fences' business.
    neighbour = pair.peer.pods()
    with observed(pair) as seen:
        for change in changes:
            made.append(make(pair.hub, seen.watch, seen.talkers, change))
            print(made[-1])
            check(made[-1])

    assert pair.peer.pods() == neighbour
    for one in made:
        # Else there was nothing that could have been out of order.
        assert seen.epochs >= {(f, e) for f in one.change.rises for e in one.epochs(f)}
