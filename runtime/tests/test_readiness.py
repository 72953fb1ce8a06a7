"""Readiness tells a process that alone is deaf from a Redis that is down for all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.services import wait_until

from homeserver_runtime.probes import CUT_OFF_SECONDS

if TYPE_CHECKING:
    from tests.fixtures import Homeserver

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)


def test_a_process_that_alone_is_cut_off_from_redis_turns_unready(
    homeserver: Homeserver,
) -> None:
    homeserver.expel_generic()
    wait_until(
        lambda: homeserver.generic.probe("/ready")[0] == 503,
        what="the worker to turn unready",
    )
    assert "this process alone is cut off" in homeserver.generic.probe("/ready")[1]["reason"]
    assert homeserver.generic.probe("/live")[0] == 200
    assert homeserver.main.probe("/ready")[0] == 200
    assert homeserver.persister.probe("/ready")[0] == 200

    homeserver.admit_generic()
    homeserver.wait_ready()


def test_processes_stay_ready_while_redis_is_down_for_all(homeserver: Homeserver) -> None:
    processes = (homeserver.main, homeserver.persister, homeserver.generic)
    homeserver.redis.stop()
    try:
        wait_until(
            lambda: (
                not any(
                    process.probe("/state")[1]["replication"]["connected"] for process in processes
                )
            ),
            what="the processes to miss Redis",
        )
        deadline = time.monotonic() + CUT_OFF_SECONDS + 3
        while time.monotonic() < deadline:
            assert [process.probe("/ready")[0] for process in processes] == [200, 200, 200]
            time.sleep(0.2)
        assert "Redis answers no ping" in homeserver.main.probe("/ready")[1]["reason"]
    finally:
        homeserver.redis.start()
        homeserver.admit_generic()
    wait_until(
        lambda: all(
            process.probe("/state")[1]["replication"]["caught_up"] for process in processes
        ),
        what="the processes to catch up",
    )
