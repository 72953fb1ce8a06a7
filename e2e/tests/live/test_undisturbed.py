"""While people use a homeserver the operator keeps still.

Comes last by its name: the other tests of this folder are the use, and this one waits out the rest.
"""

from __future__ import annotations

import time

import pytest

from e2e.tests.live.topology import Live

pytestmark = pytest.mark.cluster

SECONDS = 120


def test_nothing_is_written_in_two_minutes_of_use(live: Live) -> None:
    if live.audit is None:
        pytest.skip("a cluster of somebody else's shows no audit log")

    # Nothing can be waited for: that nothing happens is the point.
    time.sleep(max(0, live.ready_at + SECONDS - time.monotonic()))

    assert live.audit.writes() == []


def test_no_process_has_ended(live: Live) -> None:
    assert live.full.pods() == live.pods
