"""A class that goes to main or comes from it, while another main comes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests.agent.load import Load
from tests.agent.rig import Router, files
from tests.agent.waiting import until
from tests.agent.with_haproxy.programs import STEERS_OLD_PROCESSES
from tests.agent.workers import Workers, addresses

from homeserver_router.endpoints import by_service, members

if TYPE_CHECKING:
    from tests.agent.kube import Kube

pytestmark = pytest.mark.haproxy


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
    assert load.lost == []
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
    assert load.lost == []
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
    assert load.lost == []
    assert (main.served, new.served > 0) == (0, True)
    await until(lambda: router.agent.running == "alpha-router-2")


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
    assert load.lost == []
    assert new.served == 0
