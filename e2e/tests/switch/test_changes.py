"""Every change of the table, in a cluster, while people talk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from e2e.product.overlaps import Deed, out_of_order, together
from e2e.product.podwatch import watching
from e2e.product.sampling import sampling
from e2e.product.traffic import Listener
from e2e.tests.switch.changes import GROWS, SHRINKS, Change
from e2e.tests.switch.making import Made, check, longest, make
from e2e.tests.switch.topology import Pair

pytestmark = pytest.mark.cluster

LOOKS_A_SECOND = 20.0


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
    with (
        sampling(pair.database.dsn) as sampled,
        watching(pair.hub.kube, pair.hub.name) as watch,
        pair.talk() as talk,
    ):
        quiet = longest(talk.traffic.messages)
        print(f"\nwhile nothing changes: longest answer {quiet:.2f} s")
        for change in changes:
            made.append(make(pair.hub, watch, talk.traffic, change))
            print(made[-1])
            check(made[-1])
    print(
        f"{len(talk.traffic.messages)} messages; failed syncs: {_failures(talk.traffic.listeners)}"
    )
    print(f"{sampled.rate:.0f} looks a second, {sampled.longest_gap:.2f} s the longest gap")

    writes = pair.database.writes()
    print("writes noted:", dict(Counter(deed.label.name for deed in writes)))
    assert sampled.rate >= LOOKS_A_SECOND
    assert out_of_order(writes) == []
    assert out_of_order(sampled.deeds) == []
    assert together(sampled.spans) == []
    for one in made:
        # Else there was nothing to be found out of order.
        assert _seen(writes) >= {(f, e) for f in one.change.rises for e in one.epochs(f)}
    assert talk.wrongs(pair.recording) == []


def _seen(deeds: Sequence[Deed]) -> set[tuple[str, int]]:
    return {item for deed in deeds for item in deed.label.epochs.items()}


def _failures(listeners: Mapping[str, Listener]) -> dict[str, int]:
    return dict(Counter(failure for one in listeners.values() for failure in one.failures))
