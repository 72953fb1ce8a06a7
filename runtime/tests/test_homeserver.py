"""Three real processes work together as one homeserver."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fixtures import Homeserver
    from tests.matrix import Client

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)


async def test_what_one_sends_through_a_worker_comes_back_in_sync(alice: Client) -> None:
    room = await alice.create_room()
    event = await alice.send(room, "hello")
    timeline = (await alice.sync())["rooms"]["join"][room]["timeline"]["events"]
    assert [found["event_id"] for found in timeline][-1] == event


def test_every_process_tells_its_state(homeserver: Homeserver) -> None:
    for process, role in (
        (homeserver.main, "main"),
        (homeserver.persister, "worker"),
        (homeserver.generic, "worker"),
    ):
        status, state = process.probe("/state")
        assert status == 200
        assert state == {
            "name": process.name,
            "role": role,
            "revision": "revision-1",
            "phase": "serving",
            "waiting_for": None,
            "synapse": "1.163.2",
            "replication": {"connected": True, "caught_up": True},
            "database": {
                "schema_version": 94,
                "compat_version": 84,
                "image_schema_version": 94,
                "max_connections": 150,
            },
            "fences": {},
            "recorded": {},
            "superseded_by": None,
            "shard_maps": state["shard_maps"],
            "started": state["started"],
            "seconds": state["seconds"],
        }
        assert state["shard_maps"].keys() >= {"topology"}
        assert 0 < state["seconds"]["warm"] <= state["seconds"]["entered"]
        status, alive = process.probe("/live")
        assert (status, alive["reason"]) == (200, "the reactor runs")


def test_what_the_launcher_writes_is_for_its_user_alone(homeserver: Homeserver) -> None:
    written = {path.name: path for path in (homeserver.generic.directory / "run").iterdir()}
    assert set(written) == {"homeserver.yaml", "pgpass"}
    for path in written.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
