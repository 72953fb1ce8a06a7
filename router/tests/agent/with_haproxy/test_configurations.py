"""Configurations that change under requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.agent.load import Load, ask
from tests.agent.rig import Router, files
from tests.agent.waiting import until
from tests.agent.workers import Workers, addresses, exchange

from homeserver_router import meeting

if TYPE_CHECKING:
    from tests.agent.kube import Kube

pytestmark = pytest.mark.haproxy


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
        old, new = workers.all[1:], workers.warm("sync-10", "sync-11", "sync-12")
        await kube.configuration("alpha-router-2", files(router.port, version="2"))
        await kube.endpoints("alpha-sync", addresses(*new), ready=[])
        await until(lambda: router.agent.running == "alpha-router-2")
        await exchange(old, new)
        await kube.endpoints("alpha-sync", addresses(*new))
        sent = load.sent
        await until(lambda: load.sent > sent + 50)
    assert load.failures == []


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


async def test_a_configuration_waits_for_a_main_that_nobody_tells_of_but_not_for_long(
    router: Router, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "MEET_SECONDS", 0.5)
    await kube.configuration("alpha-router-2", files(router.port, version="2"), main="2")
    await until(lambda: router.agent.running == "alpha-router-2", seconds=5)
    assert (await ask(router.url))[1]["version"] == "2"
