"""Routers follow who is there, agree on who answers whom, and run by what their Service names."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from itertools import count

import pytest

from e2e.product import postgres
from e2e.product.kube import eventually
from e2e.product.router import Access
from e2e.tests.router.topology import Routed
from e2e.tests.switch.changes import group

pytestmark = pytest.mark.cluster

SYNC = "/_matrix/client/v3/sync"
ANY_READER = "/_matrix/client/v3/joined_rooms"
USERS, ROOMS, DEVICES, ENOUGH = 40, 20, 5, 20
ANSWERED, REFUSED = frozenset({200}), frozenset({401, 403})
OPAQUE = """
INSERT INTO access_tokens (id, user_id, device_id, token)
SELECT id + 1000000 + %s, user_id, device_id, %s FROM access_tokens WHERE token = %s
"""
"""One more token of a device, of which nobody can read whose it is."""


def _token(name: str) -> str:
    """A token as Synapse makes them; it is nobody's, and is routed all the same."""
    return f"syt_{base64.b64encode(name.encode()).decode().rstrip('=')}_nobodys_token"


@pytest.fixture(scope="module")
def sources() -> Iterator[str]:
    """Addresses of clients, by which requests are found in the log again."""
    return (f"198.51.{number // 250}.{number % 250 + 1}" for number in count())


def _send(
    routed: Routed,
    router: str,
    sources: Iterator[str],
    asked: list[tuple[str, str, str]],
    *,
    statuses: frozenset[int] = REFUSED,
) -> list[Access]:
    """Send requests (method, target, token) to one router; what it logged of each, in order."""
    address = routed.router.addresses()[router]
    used = []
    for method, target, token in asked:
        source = next(sources)
        reply = routed.ask(address, method, target, source, token)
        assert reply.status in statuses, f"{method} {target}: {reply}"
        used.append(source)
    logged = routed.logged(router, {*used})
    return [logged[source] for source in used]


def test_routers_send_a_user_and_a_room_to_the_same_worker(
    routed: Routed, sources: Iterator[str]
) -> None:
    rooms = "/_matrix/client/v3/rooms"
    asked = [
        *(("GET", SYNC, _token(f"user-{n}")) for n in range(USERS)),
        *(("PUT", f"{rooms}/!room-{n}:x/send/m.room.message/1", "nobodys") for n in range(ROOMS)),
    ]
    first, second = routed.router.names()

    here = [access.pod for access in _send(routed, first, sources, asked)]
    there = [access.pod for access in _send(routed, second, sources, asked)]

    assert here == there
    readers = routed.workers("reader")
    assert {*here[:USERS]} == readers, "users are spread"
    assert {*here[USERS:]} == readers, "rooms are spread"


@pytest.mark.parametrize(
    ("target", "route_class", "groups"),
    [
        pytest.param(SYNC, "initial-sync", "reader", id="without since"),
        pytest.param(f"{SYNC}?since=", "initial-sync", "reader", id="an empty since"),
        pytest.param(f"{SYNC}?timeout=0&since=s1", "sync", "syncer", id="with since"),
    ],
)
def test_a_sync_goes_where_its_since_says_and_the_log_tells_why(
    routed: Routed, sources: Iterator[str], target: str, route_class: str, groups: str
) -> None:
    token = _token("alice")
    for router in routed.router.names():
        (access,) = _send(routed, router, sources, [("GET", target, token)])
        assert (access.route_class, access.groups) == (route_class, groups)
        assert (access.hash, access.key) == ("user", "localpart")
        assert access.pod in routed.workers(groups)
        assert access.path == SYNC
        assert token not in access.line


async def test_who_is_asked_for_has_one_worker_on_all_devices_and_at_all_routers(
    routed: Routed, sources: Iterator[str]
) -> None:
    routed.change(lambda spec: spec["router"].update(whoami={}))
    async with routed.person("owner") as owner:
        devices = [f"mat_{secrets.token_hex(16)}" for _ in range(DEVICES)]
        with postgres.connected(postgres.managed(routed.server.kube, routed.server.name)) as cursor:
            for number, token in enumerate(devices):
                cursor.execute(OPAQUE, (number, token, owner.token))
        asked = [("GET", f"{SYNC}?timeout=0", token) for token in (owner.token, *devices)]
        seen = [
            access
            for router in routed.router.names()
            for access in _send(routed, router, sources, asked, statuses=ANSWERED)
        ]
    told = {(access.hash, access.key) for access in seen}
    assert told == {("user", "localpart"), ("user", "whoami")}
    assert len({access.pod for access in seen}) == 1
    assert {access.pod for access in seen} <= routed.workers("reader")
    assert not [access.line for access in seen if any(token in access.line for token in devices)]


def test_a_new_reader_gets_requests_and_one_that_ended_gets_none(
    routed: Routed, sources: Iterator[str]
) -> None:
    before = routed.workers("reader")
    routed.change(lambda spec: group(spec, "reader").update(replicas=3))
    (new,) = routed.workers("reader") - before
    asked = [("GET", ANY_READER, "")] * ENOUGH
    for router in routed.router.names():

        def pods(router: str = router) -> set[str]:
            return {access.pod for access in _send(routed, router, sources, asked)}

        eventually(
            pods, lambda seen: new in seen, what=f"a request to {new} from {router}", seconds=60
        )

    routed.change(lambda spec: group(spec, "reader").update(replicas=2))
    left = routed.workers("reader")
    assert len(left) == 2
    for router in routed.router.names():
        assert {a.pod for a in _send(routed, router, sources, asked)} <= left


def test_every_router_runs_by_what_its_service_names_and_a_change_restarts_none(
    routed: Routed,
) -> None:
    before, pods = routed.router.config(), routed.router.names()
    routed.change(lambda spec: spec["router"].update(holdSeconds=20))

    assert routed.router.config() != before
    assert routed.router.names() == pods
    assert {*routed.router.restarts().values()} == {0}
    running = {routed.router.state(pod)["configuration"]["running"] for pod in pods}
    assert running == {routed.router.config()}
