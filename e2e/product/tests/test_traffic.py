"""The open loop goes on whatever the server does, and tells of it as clients see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from e2e.product.abroad import Abroad
from e2e.product.matrix import User
from e2e.product.mix import EVERY_KIND, KINDS, POLLS, SLIDING
from e2e.product.traffic import Outcome, Traffic

PER_SECOND = 200.0
TIMEOUT = 30.0


@dataclass
class Server:
    """Answers as it is told to: "well", "badly", "not" at all, or later ("held")."""

    mode: str = "well"
    held: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    seen: set[tuple[str, str]] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)
    positions: set[str] = field(default_factory=lambda: {"", "1"})

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.add((request.path.rpartition("/")[2], request.headers["Authorization"]))
        self.paths.append(f"{request.method} {request.path}")
        if request.query.get("pos", "") not in self.positions:
            return web.json_response({"errcode": "M_UNKNOWN_POS"}, status=400)
        if self.mode == "held":
            self.held += 1
            await self.released.wait()
        if self.mode == "badly":
            return web.Response(status=502, text="Bad Gateway")
        if self.mode == "not" and request.transport:
            request.transport.abort()
        if "sync" in request.path:
            # A long poll, as far as a test can wait.
            await asyncio.sleep(0.05)
        told = {"next_batch": "s1", "pos": "1", "event_id": "$e", "content_uri": "mxc://x/m"}
        return web.json_response(told)


@asynccontextmanager
async def _serving(
    kinds: Sequence[str] = KINDS, polls: Sequence[str] = ("sync",)
) -> AsyncIterator[tuple[Server, Traffic]]:
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    users = []
    for name in ("alice", "bob"):
        user = User(ingress=f"{host}:{port}", host="x", name=name, password="")
        user.client.restore_login(f"@{name}:x", "DEVICE", name)
        users.append(user)
    try:
        async with users[0], users[1]:
            yield server, Traffic(users, "!room:x", kinds, polls)
    finally:
        server.released.set()
        await runner.cleanup()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not holds():  # noqa: ASYNC110 - looks at what is counted, not at an event
            await asyncio.sleep(0.01)


def _failures(traffic: Traffic) -> list[Outcome]:
    return [outcome for outcome in traffic.outcomes if outcome.failed]


async def _everybody_does_everything() -> None:
    async with _serving() as (server, traffic), traffic.flow(PER_SECOND):
        whats = ("joined_members", "pushrules", "sync")
        await _until(
            lambda: all(
                (what, f"Bearer {name}") in {(w or "pushrules", who) for w, who in server.seen}
                for what in whats
                for name in ("alice", "bob")
            )
        )
        await _until(lambda: {o.kind for o in traffic.outcomes} == {*KINDS, "sync"})
    assert not _failures(traffic)
    sent = [o for o in traffic.outcomes if o.kind == "send"]
    assert sorted(traffic.acknowledged) == sorted(f"message {n + 1}" for n in range(len(sent)))


def test_every_user_makes_requests_of_every_kind() -> None:
    asyncio.run(_everybody_does_everything())


async def _held() -> None:
    async with _serving() as (server, traffic), traffic.flow(PER_SECOND):
        await _until(lambda: len(traffic.outcomes) > 0)
        server.mode, since = "held", time.monotonic()
        # Many more than a pool of connections for two would let through.
        await _until(lambda: server.held > 250)
        held, moment = server.held, time.monotonic()
        waiting = asyncio.create_task(traffic.answered(moment))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
        server.mode = "well"
        server.released.set()
        await waiting
        ended = traffic.between(since, moment)
    assert not _failures(traffic)
    assert len(ended) >= held
    longest = max(ended, key=lambda outcome: outcome.seconds)
    assert longest.began + longest.seconds >= moment


def test_a_pause_keeps_no_request_from_beginning_and_shows_in_full() -> None:
    asyncio.run(_held())


async def _broken() -> None:
    async with _serving() as (server, traffic), traffic.flow(PER_SECOND):
        server.mode = "badly"
        await _until(lambda: any(o.status == 502 for o in traffic.outcomes if o.kind != "sync"))
        server.mode = "not"
        await _until(lambda: any(o.status == 0 for o in traffic.outcomes))
        server.mode = "well"
        count = len(traffic.outcomes)
        await _until(lambda: any(not o.failed for o in traffic.outcomes[count:]))
        await _until(lambda: any(o.kind == "sync" and not o.failed for o in traffic.outcomes))
    assert {o.problem for o in _failures(traffic) if o.status == 502} == {"Bad Gateway"}
    dropped = next(o for o in traffic.outcomes if o.status == 0)
    assert dropped.problem.partition(":")[0] in {"ServerDisconnectedError", "ClientOSError"}


def test_errors_and_broken_connections_are_recorded_and_it_goes_on() -> None:
    asyncio.run(_broken())


async def _mixed() -> None:
    async with (
        _serving(EVERY_KIND, POLLS) as (server, traffic),
        Abroad(traffic.users[0].ingress, "x", "x") as traffic.other,
        traffic.flow(PER_SECOND),
    ):
        await _until(lambda: {o.kind for o in traffic.outcomes} == {*EVERY_KIND, *POLLS})
    assert not _failures(traffic)
    assert {how.partition(" ")[0] for what, how in server.seen if what == "profile"} == {"X-Matrix"}
    # What was said and uploaded first is what is read and downloaded.
    assert "POST /_matrix/client/v3/rooms/!room:x/receipt/m.read/$e" in server.paths
    assert "GET /_matrix/client/v1/media/download/x/m" in server.paths


def test_a_mix_asks_what_it_has_learned_of() -> None:
    asyncio.run(_mixed())


async def _forgotten() -> None:
    async with _serving(("read",), ("sliding",)) as (server, traffic), traffic.flow(PER_SECOND):
        await _until(lambda: server.paths.count(f"POST {SLIDING}") > 4)
        server.positions = {""}
        await _until(lambda: bool(_failures(traffic)))
        server.positions = {"", "1"}
        count = len(traffic.outcomes)
        await _until(
            lambda: any(o.kind == "sliding" and not o.failed for o in traffic.outcomes[count:])
        )
    assert {o.status for o in _failures(traffic)} == {400}


def test_a_long_poll_whose_place_was_forgotten_counts_as_failed_and_begins_anew() -> None:
    asyncio.run(_forgotten())
