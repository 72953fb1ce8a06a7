"""Real Synapse behind fences: in turns, or never; and getting over the loss of its sessions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.epochs import main_of_epoch
from tests.held import LOCK_SESSIONS, terminate
from tests.matrix import Client, register
from tests.processes import ending
from tests.services import LOOPBACK, pgbouncer, wait_until

from e2e.cluster.ports import free_port
from homeserver_runtime.launcher import LINGER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.held import Held
    from tests.processes import RuntimeProcess, Site

CONNECTIONS = 5
"""Of Synapse to the database, at most; see Site."""

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]


def phase(process: RuntimeProcess) -> str:
    return str(process.probe("/state")[1].get("phase"))


def live_epochs(site: Site) -> set[str]:
    """Who has connections, by the names under which PostgreSQL lists them."""
    names = site.query(
        "SELECT coalesce(string_agg(DISTINCT application_name, ','), '') FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'main%'"
    )
    return {name for name in str(names[0]).split(",") if name}


def test_epochs_of_synapse_take_turns_and_never_go_back(site: Site) -> None:
    old, new, late = (
        main_of_epoch(site, directory, epoch)
        for directory, epoch in (("old", 1), ("new", 2), ("late", 1))
    )
    with ending(old, new, late):
        old.start().wait_ready()
        assert old.probe("/state")[1]["fences"] == {"topology": 1}
        new.start()
        wait_until(
            lambda: new.probe("/state")[1].get("waiting_for") == "main t1",
            what="the new one to wait for the old one",
        )
        # Warm, so that Kubernetes keeps it; not ready, so that nobody is sent there.
        assert (new.probe("/started")[0], new.probe("/ready")[0]) == (200, 503)
        assert old.probe("/ready")[0] == 200
        # Without epochs: what it has in reserve.
        assert live_epochs(site) == {"main t1", "main t2", "main"}
        old.signal()
        assert old.wait() == 0
        new.wait_ready()
        assert live_epochs(site) == {"main t2"}
        late.start()
        wait_until(lambda: phase(late) == "superseded", what="the late one to be refused")
        assert late.probe("/state")[1]["superseded_by"] == {"fence": "topology", "epoch": 2}
        assert "superseded" in late.termination_message
        # Whoever comes must be sent on, not held for ever.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, late.client_port))
        assert late.probe("/state")[1]["recorded"] == {"topology": 2}
        wait_until(lambda: live_epochs(site) == {"main t2"}, what="it to leave the database alone")
        late.signal()
        assert late.wait() == 0
        # What it says for people is not replaced by what it says in the end.
        assert late.termination_message.startswith("superseded")
    assert json.loads(old.termination_message.splitlines()[1])["phase"] == "draining"


def test_who_had_to_wait_for_the_database_lets_the_earlier_epoch_come_back(
    site: Site, hold: Callable[..., Held]
) -> None:
    """Its pod was made for a switch that nobody has begun yet."""
    hold("main", topology=1).enter().fence.leave()
    port = free_port()
    new = main_of_epoch(site, "new", 2, settings={"database": {"args": {"port": port}}})

    def waits_for(whom: str) -> bool:
        return whom in (new.probe("/state")[1].get("waiting_for") or "")

    with ending(new.start()):
        wait_until(lambda: waits_for("Connection refused"), what="a look in vain")
        # PgBouncer waits for the process, so it ends first.
        with pgbouncer(site.postgres, "session", port=port), ending(new):
            wait_until(lambda: waits_for("those who ran before"), what="it to let others go first")
            old = hold("main", topology=1).enter()
            wait_until(lambda: waits_for("main {'topology': 1}"), what="it to wait for the old one")
            old.fence.leave()
            wait_until(lambda: "topology" in new.probe("/state")[1]["fences"], what="entry")


def test_a_drained_process_refuses_whoever_comes_late_for_a_while(site: Site) -> None:
    process = main_of_epoch(site, "one", 1)
    with ending(process):
        process.start().wait_ready()
        process.signal()
        wait_until(lambda: not live_epochs(site), what="the fences to be released")
        released = time.monotonic()
        assert phase(process) == "draining"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, process.client_port))
        assert process.wait() == 0
        # It was seen to be released a look after it was.
        assert time.monotonic() - released > LINGER_SECONDS - 1

        process.start().wait_ready()
        process.signal()
        wait_until(lambda: not live_epochs(site), what="the fences to be released")
        process.signal()
        assert process.wait(LINGER_SECONDS - 1) == 0


def test_synapse_gets_over_the_loss_of_all_its_sessions(site: Site) -> None:
    process = main_of_epoch(site, "one", 1)
    with ending(process):
        process.start().wait_ready()
        before = process.popen
        terminate(site.postgres, site.database, "true")
        wait_until(
            lambda: "homeserver_fence_retakes_total 1.0" in process.metrics(),
            what="the fences to be taken again",
        )
        wait_until(lambda: "main t1" in live_epochs(site), what="new sessions with the fence")
        process.wait_ready()
        assert process.popen is before
        assert before is not None
        assert before.poll() is None


async def test_no_request_fails_by_a_connection_that_has_ended_before(site: Site) -> None:
    process = main_of_epoch(site, "one", 1)
    with ending(process):
        process.start().wait_ready()
        token = await register(process.client_port)
        async with Client(process.client_port, token) as client:
            # As many at once as there may be connections, so that all of them are in use.
            await asyncio.gather(*(client.create_room() for _ in range(CONNECTIONS)))
            others = f"NOT {LOCK_SESSIONS}"
            terminate(site.postgres, site.database, others, wait_milliseconds=5000)
            await asyncio.gather(*(client.create_room() for _ in range(CONNECTIONS)))


async def test_a_query_that_still_runs_does_not_keep_the_next_epoch_waiting(site: Site) -> None:
    process = main_of_epoch(site, "one", 1)
    with ending(process):
        process.start().wait_ready()
        token = await register(process.client_port)
        with (
            contextlib.closing(site.postgres.connect(site.database)) as connection,
            connection.cursor() as cursor,
        ):
            connection.autocommit = False
            # Synapse notes who was there, every few seconds and when it stops.
            cursor.execute("LOCK TABLE user_ips IN ACCESS EXCLUSIVE MODE")
            async with Client(process.client_port, token) as client:
                await client.request("GET", "account/whoami")
            process.signal()
            wait_until(lambda: not live_epochs(site), what="the fences to be released", seconds=20)
            assert process.wait(20) == 0
    assert "Drained" in process.log
