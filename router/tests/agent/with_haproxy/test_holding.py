"""Requests that come while nobody is there."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from tests.agent.load import Load, ask, shares
from tests.agent.rig import Router, files
from tests.agent.waiting import becomes, until
from tests.agent.with_haproxy.programs import STEERS_OLD_PROCESSES
from tests.agent.workers import Workers, addresses

if TYPE_CHECKING:
    from tests.agent.kube import Kube

pytestmark = pytest.mark.haproxy


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
    assert load.lost == []
    assert new.served > 90


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


@pytest.mark.usefixtures("left_to_main")
async def test_main_answers_once_nobody_else_has_for_long_and_no_longer_than_that(
    router: Router, kube: Kube, workers: Workers
) -> None:
    status, said = await ask(router.url)
    assert (status, said["worker"]) == (200, "main")
    (new,) = await workers.started("sync-5")
    await kube.endpoints("alpha-sync", addresses(new))

    async def back() -> bool:
        return set((await shares(router.url)).values()) == {"sync-5"}

    await becomes(back)
