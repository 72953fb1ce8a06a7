"""The operator's endpoints."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from e2e.cluster.ports import free_port
from homeserver_operator.health import HealthServer
from homeserver_operator.metrics import Metrics


class Checks:
    live: str | None = None
    ready: str | None = None


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
async def url(metrics: Metrics, checks: Checks) -> AsyncIterator[str]:
    port = free_port()
    server = HealthServer(metrics, live=lambda: checks.live, ready=lambda: checks.ready, port=port)
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.close()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_all_is_well(url: str) -> None:
    assert await get(f"{url}/healthz") == (200, "ok\n")
    assert await get(f"{url}/readyz") == (200, "ok\n")


async def test_what_is_wrong_is_said(url: str, checks: Checks) -> None:
    checks.live = "a reconcile hangs"

    assert await get(f"{url}/healthz") == (503, "a reconcile hangs\n")
    assert await get(f"{url}/readyz") == (200, "ok\n")


async def test_the_metrics_are_in_prometheus_format(url: str, metrics: Metrics) -> None:
    metrics.api_requests.labels("get", "Pod", "200").inc()

    status, text = await get(f"{url}/metrics")

    assert status == 200
    wanted = 'homeserver_operator_api_requests_total{code="200",kind="Pod",verb="get"} 1.0'
    assert wanted in text
