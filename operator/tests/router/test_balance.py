"""Who is sent to whom: the same key to the same worker, in each router and after each reload."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.router.rig import Proxy, proxy, servers
from tests.router.samples import files, sample

from homeserver_operator.api.roles import SSO

pytestmark = pytest.mark.haproxy

SYNC = "/_matrix/client/v3/sync?since=s1"
SEND = "/_matrix/federation/v1/send/1"
WORKERS = 4


@contextmanager
def router(program: Path, directory: Path, workers: int = WORKERS) -> Iterator[Proxy]:
    written = files(sample("everything"))
    with servers() as found, proxy(
        program, written, directory, found.port, members=lambda _backend: workers
    ) as it:  # fmt: skip
        yield it


def synapses(user: str, number: int = 0) -> str:
    """An access token of Synapse's own."""
    local = base64.b64encode(user.encode()).decode().rstrip("=")
    return f"syt_{local}_{hashlib.sha256(f'{user}{number}'.encode()).hexdigest()[:20]}_0a1b2c"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def x_matrix(origin: str) -> dict[str, str]:
    return {"Authorization": f'X-Matrix origin={origin},destination="b.x",key="k",sig="{origin}x"'}


def users(it: Proxy, count: int) -> list[str]:
    return [it.ask("GET", SYNC, bearer(synapses(f"user{n}"))).server for n in range(count)]


def rooms(it: Proxy, count: int) -> list[str]:
    path = "/_matrix/client/v3/rooms/!room{}:maple.example/send/m.room.message/1"
    return [it.ask("PUT", path.format(n), body=b"{}").server for n in range(count)]


def origins(it: Proxy, count: int) -> list[str]:
    return [
        it.ask("PUT", SEND, x_matrix(f"server{n}.example"), body=b"{}").server for n in range(count)
    ]


@pytest.mark.parametrize(
    ("many", "count"), [(users, 1000), (rooms, 1000), (origins, 200)],
    ids=["1,000 users", "1,000 rooms", "200 other servers"],
)  # fmt: skip
def test_two_routers_spread_evenly_and_alike(
    program: Path, tmp_path: Path, many: Callable[[Proxy, int], list[str]], count: int
) -> None:
    with router(program, tmp_path / "one") as one:
        first = many(one, count)
    # Another process: another router, or the same one after it was loaded again.
    with router(program, tmp_path / "two") as two:
        assert many(two, count) == first
    spread = Counter(first)
    assert len(spread) == WORKERS
    even = count / WORKERS
    assert all(abs(found - even) <= even / 4 for found in spread.values()), spread


@pytest.mark.parametrize("many", [users, rooms], ids=["users", "rooms"])
def test_one_more_worker_takes_its_share_and_moves_nobody_else(
    program: Path, tmp_path: Path, many: Callable[[Proxy, int], list[str]]
) -> None:
    with router(program, tmp_path / "before") as it:
        before = many(it, 1000)
    with router(program, tmp_path / "after", WORKERS + 1) as it:
        after = many(it, 1000)
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert 0 < len(moved) <= 1000 / (WORKERS + 1) * 1.25
    assert {new.rpartition(".")[2] for _old, new in moved} == {str(WORKERS + 1)}


@pytest.fixture(scope="module")
def it(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with router(program, tmp_path_factory.mktemp("haproxy"), 8) as found:
        yield found


def test_a_user_is_known_by_any_device_in_the_header_and_in_the_url(it: Proxy) -> None:
    for user in (f"user{n}" for n in range(20)):
        found = {
            it.ask("GET", SYNC, {"Authorization": f"{word} {synapses(user, number)}"}).server
            for number, word in enumerate(("Bearer", "bearer", "BEARER "))
        }
        found |= {
            it.ask("GET", f"{SYNC}&access_token={text}").server
            for text in (synapses(user, 4), synapses(user, 5).replace("_", "%5F"))
        }
        assert len(found) == 1, user


def test_an_opaque_token_stays_on_one_worker_and_many_are_spread(it: Proxy) -> None:
    tokens = [f"mat_{hashlib.md5(bytes([n])).hexdigest()}" for n in range(40)]  # noqa: S324
    found = [
        {
            it.ask("GET", SYNC, bearer(token)).server,
            it.ask("GET", f"{SYNC}&access_token={token}").server,
        }
        for token in tokens
    ]
    assert all(len(each) == 1 for each in found)
    assert len(set().union(*found)) == 8


def test_an_application_service_is_spread_by_the_users_that_it_speaks_for(it: Proxy) -> None:
    found = [
        {
            it.ask("GET", f"{SYNC}&user_id={at}u{n}%3Ax", bearer("word")).server
            for at in ("%40", "@")
        }
        for n in range(40)
    ]
    assert all(len(each) == 1 for each in found)
    assert len(set().union(*found)) == 8


def test_a_room_is_known_encoded_or_not_whatever_is_done_in_it(it: Proxy) -> None:
    for n in range(20):
        asked = [
            ("PUT", f"/_matrix/client/v3/rooms/!r{n}:x/send/m.x/rooms"),
            ("PUT", f"/_matrix/client/v3/rooms/%21r{n}%3Ax/send/rooms/1"),
            ("PUT", f"/_matrix/client/api/v1/rooms/!r{n}%3ax/state/rooms/join"),
            ("POST", f"/_matrix/client/r0/join/!r{n}:x"),
            ("POST", f"/_matrix/client/v3/rooms/!r{n}:x/invite"),
        ]
        found = {it.ask(method, path, body=b"{}").server for method, path in asked}
        assert len(found) == 1
        pages = {
            it.ask("GET", f"/_matrix/client/v3/rooms/{room}/messages?from={n}").server
            for room in (f"!r{n}:x", f"%21r{n}%3Ax")
        }
        assert len(pages) == 1


def test_another_server_is_known_by_its_name_and_else_by_its_address(it: Proxy) -> None:
    for n in range(20):
        written = [
            f"X-Matrix origin=s{n}.x,destination=b.x,key=k,sig=a",
            f'X-Matrix origin="S{n}.x",destination="b.x",key="k",sig="b"',
            f'x-matrix key="k", origin="s{n}.x", sig="c"',
        ]
        found = {it.ask("PUT", SEND, {"Authorization": text}).server for text in written}
        assert len(found) == 1
    addresses = [
        {it.ask("PUT", SEND, {"X-Forwarded-For": f"{more}198.51.100.{n}, 10.0.0.1"}).server
         for more in ("", "203.0.113.9, ")} for n in range(40)
    ]  # fmt: skip
    assert all(len(each) == 1 for each in addresses)
    assert len(set().union(*addresses)) == 8


def test_what_is_not_hashed_is_spread_evenly(it: Proxy) -> None:
    found = Counter(it.ask("GET", "/_matrix/client/versions").server for _ in range(400))
    assert len(found) == 8
    assert max(found.values()) <= 100


def test_single_sign_on_stays_with_one_process(it: Proxy) -> None:
    found = {it.ask("GET", f"/_matrix/client/v3/login/{SSO}/redirect?n={n}").server
             for n in range(20)}  # fmt: skip
    assert len(found) == 1
