"""The HAProxy programs that the agent is tested with."""

from __future__ import annotations

import pytest

from e2e.cluster import haproxy

# From 3.0 on, a process that only finishes takes no new addresses on: all handlers of events end
# with its soft stop, and one of them would set the address (server_atomic_sync in server.c).
STEERS_OLD_PROCESSES = pytest.mark.parametrize(
    "program",
    [
        *(name for name in haproxy.names() if name != haproxy.NEXT),
        pytest.param(haproxy.NEXT, marks=[pytest.mark.soak, pytest.mark.xfail(strict=True)]),
    ],
    indirect=True,
)
