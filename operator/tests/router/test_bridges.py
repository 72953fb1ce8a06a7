"""What a request is does not depend on the application service that it is for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.core.case import Case
from tests.core.worlds import BRIDGE_SECRET, EVERY_CLASS, with_bridge
from tests.router.rig import Proxy, proxy, servers
from tests.router.samples import files, with_router

pytestmark = pytest.mark.haproxy

SYNC = "/_matrix/client/v3/sync"
USER = "user_id=@bridge_1:maple.example"
TOKEN = {"Authorization": "Bearer syt_YWxpY2U_aBcDeFgHiJkLmNoPqRsT_0a1b2c"}


@contextmanager
def router(
    program: Path, directory: Path, port: int, serves: Sequence[str], **spec: Any
) -> Iterator[Proxy]:
    """A router with a group that serves a bridge alone, and nothing but this."""
    body = with_router(with_bridge(EVERY_CLASS, serves=serves), **spec)
    with proxy(program, files(Case("maple", body, BRIDGE_SECRET)), directory, port) as it:
        yield it


@pytest.mark.parametrize(
    ("serves", "target", "backend", "again"),
    [
        pytest.param(["sync"], f"{SYNC}?{USER}", "for-bridged", False,
                     id="a first sync, if the group serves all syncs"),
        pytest.param(["initialSync"], f"{SYNC}?{USER}", "for-bridged", False,
                     id="a first sync, if the group serves these alone"),
        pytest.param(["sync", "initialSync"], f"{SYNC}?since=&{USER}", "for-bridged", False,
                     id="a first sync, if the group serves both"),
        pytest.param(["sync"], f"{SYNC}?{USER}&since=s1&full_state=true", "for-bridged", False,
                     id="everything once more, if the group serves all syncs"),
        pytest.param(["initialSync"], f"{SYNC}?{USER}&since=s1&full_state=true", "initial-sync",
                     False, id="everything once more, which the group does not get"),
        pytest.param(["sync", "initialSync"], f"{SYNC}?{USER}&since=s1&full_state=true",
                     "for-bridged", False, id="everything once more, if the group serves both"),
        pytest.param(["sync", "initialSync"], f"{SYNC}?{USER}&since=s1", "for-bridged", True,
                     id="any other sync"),
        pytest.param(["initialSync"], f"/_matrix/client/v3/rooms/!r:x/initialSync?{USER}",
                     "for-bridged", False, id="what a room looks like at first"),
    ],
)  # fmt: skip
def test_what_may_end_a_process_is_sent_once_whoever_it_is_for(
    program: Path, tmp_path: Path, serves: list[str], target: str, *, backend: str, again: bool
) -> None:
    with servers() as behind, router(program, tmp_path, behind.port, serves) as it:
        assert it.backend("GET", target) == backend
        behind.requests.clear()
        behind.lose = lambda number: number == 1
        assert it.ask("GET", target).status == (200 if again else 502)
        assert len(behind.requests) == (2 if again else 1)


@pytest.mark.parametrize("serves", [["sync"], ["initialSync"], ["sync", "initialSync"]])
def test_first_syncs_are_counted_whoever_they_are_for(
    program: Path, tmp_path: Path, serves: list[str]
) -> None:
    limits = {"initialSync": {"requests": 3, "periodSeconds": 600}}
    with servers() as behind, router(program, tmp_path, behind.port, serves, limits=limits) as it:
        targets = (f"{SYNC}?{USER}", f"{SYNC}?{USER}&since=s1&full_state=true", SYNC)
        assert [it.ask("GET", each, TOKEN).status for each in targets] == [200] * 3
        assert [it.ask("GET", each, TOKEN).status for each in targets] == [429] * 3
        assert it.ask("GET", f"{SYNC}?{USER}&since=s1", TOKEN).status == 200
