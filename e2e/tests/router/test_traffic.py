"""No request fails, and nothing that was said is lost or doubled, whatever is done meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from e2e.tests.router.observing import Observed, observe
from e2e.tests.router.steps import EVERYTHING, SHORT, WRITER, Step
from e2e.tests.router.topology import Routed

pytestmark = pytest.mark.cluster

ROUNDS = 5


def _nothing_is_noticed(
    routed: Routed, steps: Sequence[Step], *, ramp_seconds: float, quiet_seconds: float
) -> None:
    print()
    seen: Observed = asyncio.run(
        observe(routed, steps, ramp_seconds=ramp_seconds, quiet_seconds=quiet_seconds)
    )
    assert [phase.title for phase in seen.phases] == [step.title for step in steps]
    assert all(phase.outcomes for phase in seen.phases)
    assert not seen.wrongs, "\n".join(seen.wrongs)


def test_no_request_fails_while_some_things_change(routed: Routed) -> None:
    _nothing_is_noticed(routed, SHORT, ramp_seconds=4, quiet_seconds=15)


@pytest.mark.soak
@pytest.mark.repeat(ROUNDS)
def test_no_request_fails_while_everything_changes(routed: Routed) -> None:
    _nothing_is_noticed(routed, EVERYTHING, ramp_seconds=8, quiet_seconds=30)


@pytest.mark.soak
def test_no_request_fails_while_a_writer_leaves_main_and_returns(routed: Routed) -> None:
    _nothing_is_noticed(routed, WRITER, ramp_seconds=4, quiet_seconds=15)
