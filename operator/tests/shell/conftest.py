"""What the tests of the shell share: an API server in memory and a connection to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.shell.fake_api import FakeApi

from homeserver_operator.cluster import Cluster
from homeserver_operator.metrics import Metrics
from homeserver_operator.transport import Transport


class Clock:
    """One that a test drives, so that it matters not how slow a machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def transport(api: FakeApi, metrics: Metrics) -> AsyncIterator[Transport]:
    connection = Transport(Configuration(host=api.url), metrics)
    yield connection
    await connection.close()


@pytest.fixture
def cluster(transport: Transport) -> Cluster:
    return Cluster(transport)


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds; fails after 10 s."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - conditions of the outside have no event
                await asyncio.sleep(0.01)

    return wait
