"""What the tests of an agent with a real HAProxy share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.agent.kube import Kube
from tests.agent.rig import Router, files
from tests.agent.waiting import until
from tests.agent.workers import Workers, addresses

from e2e.cluster import haproxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(params=haproxy.names())
def program(request: pytest.FixtureRequest) -> Path:
    return haproxy.program(request.param)


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


@pytest.fixture
async def left_to_main(router: Router, kube: Kube, workers: Workers) -> None:
    """The three workers are gone, and a second later main answers for them."""
    fallback = {"server": "main", "service": "alpha-main", "after": 1}
    await kube.configuration("alpha-router-2", files(router.port, fallback=fallback))
    await until(lambda: router.agent.running == "alpha-router-2")
    await kube.endpoints("alpha-sync", {})
    for each in workers.all[1:]:
        await each.stop()
