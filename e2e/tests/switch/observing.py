"""Watches a homeserver from all sides while something is done to it, and judges in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e2e.product.overlaps import Deed, out_of_order, together
from e2e.product.podwatch import PodWatch, watching
from e2e.product.sampling import sampling
from e2e.product.talk import Talkers
from e2e.tests.switch.making import longest
from e2e.tests.switch.topology import Pair

LOOKS_A_SECOND = 10.0


@dataclass
class Observation:
    """What is seen; `writes` only when it is over."""

    watch: PodWatch
    talkers: Talkers
    writes: tuple[Deed, ...] = ()

    @property
    def epochs(self) -> set[tuple[str, int]]:
        """Every epoch of a fence in which somebody wrote."""
        return {item for deed in self.writes for item in deed.label.epochs.items()}


@contextmanager
def observed(
    pair: Pair, *, pushed_once: bool = True, bridged_once: bool = True
) -> Iterator[Observation]:
    """While people talk: who is at work in the database, and which pods come and go.

    In the end nothing acknowledged was lost or doubled, no two epochs and no two processes of one
    name were at work at the same time, and there was somebody to see it.
    """
    with (
        sampling(pair.database.dsn) as sampled,
        watching(pair.hub.kube, pair.hub.name) as watch,
        pair.talk() as talk,
    ):
        quiet = longest(talk.talkers.messages)
        print(f"\nbefore: longest answer {quiet:.2f} s")
        seen = Observation(watch, talk.talkers)
        yield seen
    seen.writes = tuple(pair.database.writes())
    failed = Counter(failure for one in talk.talkers.listeners.values() for failure in one.failures)
    print(
        f"{len(talk.talkers.messages)} messages; failed requests of /sync: {dict(failed) or 'none'}"
    )
    print(f"{sampled.rate:.0f} looks a second, {sampled.longest_gap:.2f} s the longest gap")
    print("writing statements:", dict(Counter(deed.label.name for deed in seen.writes)))
    assert sampled.rate >= LOOKS_A_SECOND
    assert out_of_order(seen.writes) == []
    assert out_of_order(sampled.deeds) == []
    assert together(sampled.spans) == []
    wrongs = talk.wrongs(pair.recording, pushed_once=pushed_once, bridged_once=bridged_once)
    assert not wrongs, "\n".join(wrongs)
