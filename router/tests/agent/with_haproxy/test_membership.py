"""Who gets requests, by a Service's endpoints, with real requests."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from tests.agent.load import Load, ask, reached, shares
from tests.agent.rig import Router, files
from tests.agent.waiting import becomes, until
from tests.agent.workers import Workers, addresses, exchange

from homeserver_router import desired, names, plan

if TYPE_CHECKING:
    from tests.agent.kube import Kube

    from homeserver_router.endpoints import Address

pytestmark = pytest.mark.haproxy


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

    await reached(router.url, "sync-3")
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

    await reached(router.url, "sync-9")
    given = {user: worker.replace("sync-9", "sync-0") for user, worker in before.items()}
    after = await shares(router.url)
    assert {user: worker.replace("sync-9", "sync-0") for user, worker in after.items()} == given


async def test_nothing_fails_while_all_workers_are_exchanged_for_warm_ones_under_load(
    router: Router, kube: Kube, workers: Workers
) -> None:
    async with Load([router.url]).running() as load:
        await until(lambda: load.sent > 50)
        old = workers.all[1:]
        new = workers.warm("sync-10", "sync-11", "sync-12")
        changes = router.changes
        await kube.endpoints("alpha-sync", addresses(*new), ready=[])
        await until(lambda: router.changes > changes)
        assert set(kube.ledger("alpha-sync")) == {each.name for each in new}
        await exchange(old, new)
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
    new = workers.warm(*(each.name for each in old))
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
    monkeypatch.setattr(desired, "FORGET_SECONDS", 0.0)
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
