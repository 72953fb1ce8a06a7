"""The agent with a real HAProxy and real requests, against an API server in memory."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.agent.kube import Kube
from tests.agent.rig import (
    Load,
    Router,
    Workers,
    addresses,
    ask,
    becomes,
    files,
    shares,
    until,
)

from e2e.cluster import haproxy
from homeserver_router import agreement, meeting, names, plan
from homeserver_router.api import REQUEST_SECONDS
from homeserver_router.endpoints import by_service, members

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from homeserver_router.endpoints import Address

pytestmark = pytest.mark.haproxy


@pytest.fixture(params=haproxy.names())
def program(request: pytest.FixtureRequest) -> Path:
    return haproxy.program(request.param)


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


@pytest.fixture
async def kube() -> AsyncIterator[Kube]:
    async with Kube() as server:
        await server.put("configmaps", "alpha-router-slots")
        yield server


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    async with Workers() as several:
        yield several


@pytest.fixture
async def router(
    kube: Kube, program: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Router]:
    """A router with three workers and main."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    main, *several = await workers.started("main", "sync-0", "sync-1", "sync-2")
    await kube.endpoints("alpha-main", addresses(main))
    await kube.endpoints("alpha-sync", addresses(*several))
    router = Router(kube.url, program)
    await kube.configuration("alpha-router-1", files(router.port))
    async with router:
        await until(lambda: router.agent.ready)
        yield router


async def test_every_worker_gets_its_share_and_the_log_can_name_the_pods(
    router: Router, kube: Kube
) -> None:
    given = await shares(router.url)
    assert set(given.values()) == {"sync-0", "sync-1", "sync-2"}
    assert (await ask(router.url))[1]["pod"] in given.values()
    assert (await ask(router.url, path="/main"))[1]["worker"] == "main"
    assert kube.ledger("alpha-sync") == {"sync-0": 1, "sync-1": 2, "sync-2": 3}


async def test_a_new_worker_is_followed_and_moves_a_share_only(
    router: Router, kube: Kube, workers: Workers
) -> None:
    before = await shares(router.url)
    everyone = workers.all[1:]
    (new,) = await workers.started("sync-3")
    await kube.endpoints("alpha-sync", addresses(*everyone, new))

    async def reached() -> bool:
        return "sync-3" in (await shares(router.url)).values()

    await becomes(reached)
    after = await shares(router.url)
    moved = {user for user, worker in after.items() if worker != before[user]}
    assert {after[user] for user in moved} == {"sync-3"}
    assert len(moved) < 60 * 0.4


async def test_a_replaced_pod_keeps_its_share_though_both_are_there_for_a_while(
    router: Router, kube: Kube, workers: Workers
) -> None:
    before = await shares(router.url)
    old, *others = workers.all[1:]
    (new,) = await workers.started("sync-9")
    pods = addresses(old, *others, new)
    await kube.endpoints("alpha-sync", pods, ready=["sync-0", "sync-1", "sync-2"])
    await kube.endpoints("alpha-sync", pods)
    await kube.endpoints("alpha-sync", pods, terminating=["sync-0"])

    async def reached() -> bool:
        return "sync-9" in (await shares(router.url)).values()

    await becomes(reached)
    given = {user: worker.replace("sync-9", "sync-0") for user, worker in before.items()}
    after = await shares(router.url)
    assert {user: worker.replace("sync-9", "sync-0") for user, worker in after.items()} == given


async def test_nothing_fails_while_all_workers_are_exchanged_for_warm_ones_under_load(
    router: Router, kube: Kube, workers: Workers
) -> None:
    async with Load([router.url]).running() as load:
        await until(lambda: load.sent > 50)
        old = workers.all[1:]
        new = [workers.new(f"sync-{number}") for number in (10, 11, 12)]
        for each in new:
            each.listen()
        await kube.endpoints("alpha-sync", addresses(*new), ready=[])
        await until(lambda: set(kube.ledger("alpha-sync")) == {each.name for each in new})
        for each in old:
            await each.stop()
        for each in new:
            await each.start()
        await kube.endpoints("alpha-sync", addresses(*new))
        sent = load.sent
        await until(lambda: load.sent > sent + 50)
    assert load.failures == []
    assert sum(each.served for each in new) > 50


async def test_who_is_ready_first_gets_nobody_elses_requests(
    router: Router, kube: Kube, workers: Workers
) -> None:
    before = await shares(router.url)
    old = workers.all[1:]
    new = [workers.new(each.name) for each in old]
    for each in new:
        each.listen()
    for ready in ([], [new[0].name]):
        changes = router.changes
        await kube.endpoints("alpha-sync", addresses(*new), ready=ready)
        await until(lambda before=changes: router.changes > before)  # type: ignore[misc]
    for each in old:
        await each.stop()
    requests = asyncio.create_task(shares(router.url))
    await new[0].start()
    own = [worker for worker in before.values() if worker == new[0].name]
    await until(lambda: new[0].served == len(own))
    later = asyncio.create_task(shares(router.url))
    await until(lambda: new[0].served == 2 * len(own))
    for each in new[1:]:
        await each.start()
    await kube.endpoints("alpha-sync", addresses(*new))
    assert await requests == before
    assert await later == before


NOT_SENT_AGAIN = ("POST 502", "POST ServerDisconnectedError")
"""How HAProxy tells of it: on a connection's first request, and on later ones without a word."""


def lost(load: Load) -> list[str]:
    """What failed, but what may not be sent again and had just reached a worker that went."""
    return [each for each in load.failures if not each.startswith(NOT_SENT_AGAIN)]


async def test_requests_are_held_while_nobody_is_there_and_served_by_who_comes(
    router: Router, kube: Kube, workers: Workers
) -> None:
    async with Load([router.url]).running() as load:
        await until(lambda: load.sent > 50)
        await kube.endpoints("alpha-sync", {})
        for each in workers.all[1:]:
            await each.stop()
        sent = load.sent
        # All that arrives now is waiting: at 50 requests a second, for about two seconds.
        with pytest.raises(TimeoutError):
            await until(lambda: load.sent > sent + 40, seconds=2)
        (new,) = await workers.started("sync-20")
        await kube.endpoints("alpha-sync", addresses(new))
        await until(lambda: load.sent > sent + 100)
    assert lost(load) == []
    assert new.served > 90


async def test_a_new_configuration_is_loaded_without_a_failed_request(
    router: Router, kube: Kube
) -> None:
    async with Load([router.url], rate=100).running() as load:
        for version in range(2, 6):
            changed = files(router.port, version=str(version), slots=6 + version)
            await kube.configuration(f"alpha-router-{version}", changed)
            await until(lambda v=version: router.agent.running == f"alpha-router-{v}")  # type: ignore[misc]
            assert (await ask(router.url))[1]["version"] == str(version)
            sent = load.sent
            await until(lambda s=sent: load.sent > s + 50)  # type: ignore[misc]
    assert load.failures == []
    assert all(len(workers) == 1 for workers in load.workers.values())
    assert sorted(path.name for path in router.run.iterdir() if path.is_dir()) == [
        *("alpha-router-4", "alpha-router-5", "current")
    ]


async def test_a_reload_in_the_middle_of_an_exchange_of_all_workers_fails_no_request(
    router: Router, kube: Kube, workers: Workers
) -> None:
    """The process that reads the old configuration must know the new addresses before it ends."""
    async with Load([router.url]).running() as load:
        await until(lambda: load.sent > 50)
        new = [workers.new(f"sync-{number}") for number in (10, 11, 12)]
        for each in new:
            each.listen()
        await kube.configuration("alpha-router-2", files(router.port, version="2"))
        await kube.endpoints("alpha-sync", addresses(*new), ready=[])
        await until(lambda: router.agent.running == "alpha-router-2")
        for each in workers.all[1:4]:
            await each.stop()
        for each in new:
            await each.start()
        await kube.endpoints("alpha-sync", addresses(*new))
        sent = load.sent
        await until(lambda: load.sent > sent + 50)
    assert load.failures == []


async def holding(router: Router, kube: Kube, workers: Workers) -> None:
    """Nobody is there to answer syncs."""
    await kube.endpoints("alpha-sync", {})
    await until(lambda: not router.agent.state()["backends"]["sync"]["pods"])
    for each in workers.all[1:]:
        await each.stop()


@STEERS_OLD_PROCESSES
async def test_what_is_held_in_an_old_process_is_served_by_who_comes_after_a_reload(
    router: Router, kube: Kube, workers: Workers
) -> None:
    await holding(router, kube, workers)
    async with Load([router.url]).running() as load:
        await until(lambda: load.begun > 50)
        for version in (2, 3):
            changed = files(router.port, version=str(version), slots=6 + version)
            await kube.configuration(f"alpha-router-{version}", changed)
            await until(lambda v=version: router.agent.running == f"alpha-router-{v}")  # type: ignore[misc]
        assert load.sent == 0
        new = await workers.started("sync-30", "sync-31", "sync-32")
        await kube.endpoints("alpha-sync", addresses(*new))
        await until(lambda: load.sent > 100)
    assert load.failures == []
    assert sum(each.served for each in new) == load.sent


@STEERS_OLD_PROCESSES
async def test_what_is_held_when_haproxy_is_told_to_end_is_served_by_who_comes(
    router: Router, kube: Kube, workers: Workers
) -> None:
    await holding(router, kube, workers)
    assert router.process is not None
    requests = [asyncio.create_task(ask(router.url, f"user-{number}")) for number in range(20)]

    async def all_held() -> bool:
        return await router.connections() == 20

    await becomes(all_held)
    router.agent.leave()
    router.process.send_signal(signal.SIGUSR1)

    async def listens_no_more() -> bool:
        return (await ask(router.url, path="/main"))[0] == 0

    await becomes(listens_no_more)
    (new,) = await workers.started("sync-30")
    await kube.endpoints("alpha-sync", addresses(new))
    answers = await asyncio.gather(*requests)
    assert [(status, said["worker"]) for status, said in answers] == [(200, "sync-30")] * 20
    await router.agent_ends()
    assert router.process.wait(10) == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("router server nobody/s1 state ready", "No such server."),
        ("router server sync/nobody state ready", "No such server."),
        ("router server sync", "No such server."),
        ("router server sync/s1 state odd", "No such command."),
        ("router server sync/s1 addr 10.0.0.1", "No such command."),
        ("router server sync/s1 addr nonsense port 1", "Invalid addr 'nonsense'"),
    ],
)
async def test_haproxy_says_so_if_it_does_not_do_as_told(
    router: Router, command: str, said: str
) -> None:
    (refusal,) = plan.refusals(await router.tell(command))
    assert said in refusal


def all_by_main(configuration: dict[str, str]) -> dict[str, str]:
    """The same, but main answers the class."""
    content = json.loads(configuration["agent.json"])
    content["backends"]["sync"]["service"] = "alpha-main"
    return {**configuration, "agent.json": json.dumps(content)}


@STEERS_OLD_PROCESSES
async def test_who_comes_with_a_configuration_gets_nothing_by_the_one_before(
    router: Router, kube: Kube, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new main that no longer writes a stream could only refuse what the old one answered."""
    await kube.configuration("alpha-router-2", all_by_main(files(router.port)))
    await until(lambda: router.agent.running == "alpha-router-2")
    old, (new,) = workers.all[0], await workers.started("main-2")
    agent, waits, go = router.agent, asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await go.wait()

    def told() -> bool:
        annotations = agent._services.objects["alpha-router"]["metadata"]["annotations"]
        slices = by_service(agent._slices.objects.values())
        return "alpha-router-3" in annotations.values() and members(
            slices["alpha-main"]
        ) == addresses(new)

    async with Load([router.url]).running() as load:
        await until(lambda: old.served > 50)
        with monkeypatch.context() as patch:
            patch.setattr(agent, "_pause", wait)
            await until(waits.is_set)
            await kube.endpoints("alpha-main", addresses(new))
            await kube.configuration("alpha-router-3", files(router.port, version="3"))
            await old.stop()
            await until(told)
            begun = load.begun
            go.set()
        await until(lambda: load.sent > begun + 50)
    assert lost(load) == []
    assert new.served == 0


@STEERS_OLD_PROCESSES
async def test_a_class_goes_to_main_together_with_its_processes_without_a_failed_request(
    router: Router, kube: Kube, workers: Workers
) -> None:
    """Nobody waits for routers before the old processes end: requests are held, and led to main."""
    changed = all_by_main(files(router.port, version="2", slots=1))
    async with Load([router.url]).running() as load:
        await until(lambda: load.sent > 50)
        for each in workers.all[1:]:
            await each.stop()
        await kube.endpoints("alpha-sync", {})
        begun = load.begun
        await until(lambda: load.begun > begun + 25)
        await kube.configuration("alpha-router-2", changed)
        await until(lambda: load.sent > begun + 50)
    assert lost(load) == []
    assert max(load.latencies) < 5


@STEERS_OLD_PROCESSES
async def test_a_class_that_comes_to_main_is_not_asked_of_the_main_before(
    router: Router, kube: Kube, workers: Workers
) -> None:
    """The new routes may be known before the new main's address is."""
    main, *several = workers.all
    (new,) = await workers.started("main-2")
    await kube.endpoints("alpha-main", addresses(main), revision="1")
    async with Load([router.url]).running() as load:
        await until(lambda: load.sent > 50)
        changed = all_by_main(files(router.port, version="2"))
        await kube.configuration("alpha-router-2", changed, main="2")
        for each in several:
            await each.stop()
        await kube.endpoints("alpha-sync", {})
        begun = load.begun
        await until(lambda: load.begun > begun + 50)
        await kube.endpoints("alpha-main", addresses(new), revision="2")
        await until(lambda: load.sent > begun + 50)
    assert lost(load) == []
    assert (main.served, new.served > 0) == (0, True)
    assert router.agent.running == "alpha-router-2"


@STEERS_OLD_PROCESSES
async def test_a_class_that_leaves_main_is_not_asked_of_the_main_after(
    router: Router, kube: Kube, workers: Workers
) -> None:
    """The new main's address may be known before the new routes are."""
    main = workers.all[0]
    await kube.endpoints("alpha-main", addresses(main), revision="1")
    before = all_by_main(files(router.port, version="2"))
    await kube.configuration("alpha-router-2", before, main="1")
    await until(lambda: router.agent.running == "alpha-router-2")
    (new,) = await workers.started("main-2")
    async with Load([router.url]).running() as load:
        await until(lambda: main.served > 50)
        await kube.endpoints("alpha-main", addresses(new), revision="2")
        await main.stop()
        begun = load.begun
        await until(lambda: load.begun > begun + 50)
        await kube.configuration("alpha-router-3", files(router.port, version="3"), main="2")
        await until(lambda: load.sent > begun + 50)
    assert lost(load) == []
    assert new.served == 0


async def test_a_configuration_waits_for_a_main_that_nobody_tells_of_but_not_for_long(
    router: Router, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "MEET_SECONDS", 0.5)
    await kube.configuration("alpha-router-2", files(router.port, version="2"), main="2")
    await until(lambda: router.agent.running == "alpha-router-2", seconds=5)
    assert (await ask(router.url))[1]["version"] == "2"


async def test_a_configuration_that_haproxy_refuses_leaves_the_old_one(
    router: Router, kube: Kube
) -> None:
    broken = files(router.port, version="2")
    broken["haproxy.cfg"] = broken["haproxy.cfg"].replace("balance hash", "balance nonsense")
    await kube.configuration("alpha-router-2", broken)
    await until(lambda: "alpha-router-2" in router.agent.state()["configuration"]["refused"])
    assert (
        "balance only supports"
        in router.agent.state()["configuration"]["refused"]["alpha-router-2"]
    )
    assert router.metrics.reloads.labels("refused")._value.get() == 1
    assert router.agent.ready
    assert (await ask(router.url))[1]["version"] == "1"
    assert router.run.joinpath("current").readlink().name == "alpha-router-1"


async def test_a_configuration_that_cannot_start_leaves_the_old_one(
    router: Router, kube: Kube
) -> None:
    """Its check succeeds, but HAProxy cannot bind its port."""
    broken = files(router.port, version="2")
    extra = "listen extra\n    bind 192.0.2.1:1\n"
    broken["haproxy.cfg"] = broken["haproxy.cfg"].replace("backend main", f"{extra}backend main")
    await kube.configuration("alpha-router-2", broken)
    await until(
        lambda: "alpha-router-2" in router.agent.state()["configuration"]["refused"], seconds=30
    )
    assert (await ask(router.url))[1]["version"] == "1"
    await kube.configuration("alpha-router-3", files(router.port, version="3"))
    await until(lambda: router.agent.running == "alpha-router-3")
    assert (await ask(router.url))[1]["version"] == "3"


@pytest.mark.parametrize("worker", [True, False], ids=["its worker", "all of it"])
async def test_haproxy_starts_again_with_everyone_in_place(router: Router, worker: bool) -> None:
    before = await shares(router.url)
    await router.stop_agent()
    router.kill_haproxy(worker=worker)
    router.start_haproxy()

    async def answers() -> bool:
        return (await ask(router.url))[0] == 200

    await becomes(answers)
    assert await shares(router.url) == before
    await router.start_agent()
    await until(lambda: router.agent.ready)
    assert await shares(router.url) == before


async def test_an_agent_that_starts_without_an_api_server_goes_on_with_what_is_there(
    router: Router, kube: Kube, workers: Workers
) -> None:
    before = await shares(router.url)
    await router.stop_agent()
    await kube.stop()
    await router.start_agent()
    await until(lambda: router.agent.ready)
    assert await shares(router.url) == before
    kube.down = False
    (new,) = await workers.started("sync-3")
    await kube.endpoints("alpha-sync", addresses(*workers.all[1:4], new))
    await until(lambda: "sync-3" in kube.ledger("alpha-sync"))


async def test_who_comes_is_followed_though_the_api_server_leaves_writes_unanswered(
    router: Router, kube: Kube, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube.unanswered.add("PATCH configmaps")
    (new,) = await workers.started("sync-3")
    await kube.endpoints("alpha-sync", addresses(*workers.all[1:4], new))

    async def reached() -> bool:
        return "sync-3" in (await shares(router.url)).values()

    # Long before the request itself is given up.
    await becomes(reached, seconds=REQUEST_SECONDS * 0.8)
    assert router.agent.ready
    assert not router.agent.state()["agrees"]

    kube.unanswered.clear()
    monkeypatch.setattr(agreement, "REFRESH_SECONDS", 0.0)
    await until(lambda: "sync-3" in kube.ledger("alpha-sync"))
    await until(lambda: router.agent.state()["agrees"])


@pytest.mark.parametrize(
    ("seconds", "ready", "live"),
    [
        pytest.param(100, True, True, id="takes as long as a large configuration may"),
        pytest.param(150, False, True, id="takes so long that what runs may be of long ago"),
        pytest.param(200, False, False, id="does not end"),
    ],
)
async def test_a_router_whose_step(
    router: Router, monkeypatch: pytest.MonkeyPatch, seconds: float, *, ready: bool, live: bool
) -> None:
    agent, waits = router.agent, asyncio.Event()

    async def begin_and_stay(*_: object) -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(agent._reconciler, "bring_up_to_date", begin_and_stay)
    await waits.wait()
    began = agent._clock()
    monkeypatch.setattr(agent, "_clock", lambda: began + seconds)
    assert (agent.ready, agent.live) == (ready, live)


async def test_endpoints_that_change_during_an_outage_are_followed_after_it(
    router: Router, kube: Kube, workers: Workers
) -> None:
    await kube.stop()
    kube.compact()
    (new,) = await workers.started("sync-3")
    await kube.endpoints("alpha-sync", addresses(*workers.all[1:4], new))
    assert "sync-3" not in (await shares(router.url)).values()
    kube.compact()
    kube.down = False

    async def reached() -> bool:
        return "sync-3" in (await shares(router.url)).values()

    await becomes(reached)


async def test_main_answers_once_nobody_else_has_for_long_and_no_longer_than_that(
    router: Router, kube: Kube, workers: Workers
) -> None:
    fallback = {"server": "main", "service": "alpha-main", "after": 1}
    await kube.configuration("alpha-router-2", files(router.port, fallback=fallback))
    await until(lambda: router.agent.running == "alpha-router-2")
    await kube.endpoints("alpha-sync", {})
    for each in workers.all[1:]:
        await each.stop()

    status, said = await ask(router.url)
    assert (status, said["worker"]) == (200, "main")
    (new,) = await workers.started("sync-5")
    await kube.endpoints("alpha-sync", addresses(new))

    async def back() -> bool:
        return set((await shares(router.url)).values()) == {"sync-5"}

    await becomes(back)


async def test_a_router_that_ends_under_load_fails_no_request(
    kube: Kube, program: Path, workers: Workers, router: Router
) -> None:
    second = Router(kube.url, program)
    # Both read one ConfigMap in a cluster; here each has a port of its own.
    kube.objects["configmaps", "alpha-router-1"]["data"] = files(second.port)
    async with second:
        await until(lambda: second.agent.ready)
        assert await shares(second.url) == await shares(router.url)
        async with Load([router.url, second.url], rate=100).running() as load:
            await until(lambda: load.sent > 50)
            assert router.process is not None
            router.agent.leave()
            assert not router.agent.ready
            # Who dials pods learns of it a little later; until then, all must go on as before.
            sent = load.sent
            await until(lambda: load.sent > sent + 150)
            load.urls.reverse()
            await until(lambda: load.sent > sent + 200)
            router.process.send_signal(signal.SIGUSR1)
            await router.agent_ends()
            sent = load.sent
            await until(lambda: load.sent > sent + 50)
        assert router.process.wait(10) == 0
    assert load.failures == []


async def test_a_service_of_others_is_followed_by_its_name_and_stays_while_nobody_knows_it(
    router: Router, kube: Kube, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[Address] = []

    async def resolve(_name: str, _port: int) -> list[Address]:
        if not known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return known

    monkeypatch.setattr(names, "resolve", resolve)
    monkeypatch.setattr(names, "PERIOD_SECONDS", 0.05)
    first, second = await workers.started("auth-1", "auth-2")
    await kube.configuration("alpha-router-2", files(router.port, auth=workers.port))
    await until(lambda: router.agent.running == "alpha-router-2")
    assert router.agent.ready

    held = asyncio.create_task(ask(router.url, path="/auth"))

    async def is_held() -> bool:
        return await router.connections() == 1

    await becomes(is_held)
    known[:] = [first.address]
    status, said = await held
    assert (status, said["worker"]) == (200, "auth-1")

    async def answers() -> str:
        return str((await ask(router.url, path="/auth"))[1].get("worker"))

    async def moved() -> bool:
        return await answers() == "auth-2"

    known[:] = [second.address]
    await becomes(moved)
    known.clear()
    await router.stop_agent()
    router.kill_haproxy()
    router.start_haproxy()
    await router.start_agent()
    await until(lambda: router.agent.ready)
    assert await answers() == "auth-2"


async def test_nobody_writes_while_nothing_changes(router: Router, kube: Kube) -> None:
    writes = len(kube.writes)
    looked = router.agent.condition.looked_at
    await until(lambda: (router.agent.condition.looked_at or 0) > (looked or 0) + 2)
    assert len(kube.writes) == writes
    assert kube.tokens == {"Bearer the-token-of-the-service-account"}
