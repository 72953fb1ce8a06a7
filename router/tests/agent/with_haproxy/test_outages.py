"""What the router does without its API server, its agent or its HAProxy."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from tests.agent.load import Load, ask, reached, shares
from tests.agent.rig import Router, files
from tests.agent.waiting import becomes, until
from tests.agent.workers import Workers, addresses

from homeserver_router import agreement, api

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.kube import Kube

pytestmark = pytest.mark.haproxy


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


@pytest.mark.usefixtures("left_to_main")
async def test_main_that_answers_for_others_goes_on_when_an_agent_starts_without_an_api_server(
    router: Router, kube: Kube, workers: Workers
) -> None:
    assert (await ask(router.url))[1]["worker"] == "main"
    await router.stop_agent()
    await kube.stop()
    await router.start_agent()
    await until(lambda: router.agent.ready)

    async with asyncio.timeout(10):
        assert (await ask(router.url))[1]["worker"] == "main"
    kube.down = False
    (new,) = await workers.started("sync-5")
    await kube.endpoints("alpha-sync", addresses(new))
    await reached(router.url, "sync-5")


async def test_who_comes_is_followed_though_the_api_server_leaves_writes_unanswered(
    router: Router, kube: Kube, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "REQUEST_SECONDS", 600)
    kube.unanswered.add("PATCH configmaps")
    (new,) = await workers.started("sync-3")
    await kube.endpoints("alpha-sync", addresses(*workers.all[1:4], new))

    # Long before the request itself is given up.
    await reached(router.url, "sync-3")
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

    await reached(router.url, "sync-3")


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
