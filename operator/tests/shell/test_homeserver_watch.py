"""The watch of the HomeServers by a real kopf: what it outlives, and what is known of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from tests.shell.conftest import Eventually
from tests.shell.fake_api import FakeApi
from tests.shell.objects import homeserver

from homeserver_operator import handlers
from homeserver_operator.api import names
from homeserver_operator.api.world import Key
from homeserver_operator.handlers import HomeServerWatch
from homeserver_operator.metrics import Metrics
from homeserver_operator.pauses import Pauses
from homeserver_operator.transport import Credentials
from homeserver_operator.watched import Watched

ALWAYS = 10**6


class DiscoverableApi(FakeApi):
    """Tells what kinds there are, HomeServers among them unless it is told otherwise."""

    discovered = True

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        groups = ["apiextensions.k8s.io/v1"]
        groups += [names.API_VERSION] if self.discovered else []
        kinds = {
            "/api/v1": [("namespaces", "Namespace"), ("events", "Event")],
            "/apis/apiextensions.k8s.io/v1": [
                ("customresourcedefinitions", "CustomResourceDefinition")
            ],
            f"/apis/{names.API_VERSION}": [(names.PLURAL, names.KIND)] if self.discovered else [],
        }
        if request.path == "/api":
            return web.json_response({"versions": ["v1"]})
        if request.path == "/apis":
            return web.json_response({"groups": [group(each) for each in groups]})
        if request.path in kinds:
            resources = [resource(*each) for each in kinds[request.path]]
            return web.json_response({"resources": resources})
        return await super()._handle(request)


def group(api_version: str) -> dict[str, Any]:
    name, version = api_version.split("/")
    versions = {"version": version, "groupVersion": api_version}
    return {"name": name, "versions": [versions], "preferredVersion": versions}


def resource(plural: str, kind: str) -> dict[str, Any]:
    verbs = ["get", "list", "watch"]
    return {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}


class Watching:
    """A running watch of the namespaces `a` and `b`, and what it has told."""

    def __init__(self, api: DiscoverableApi, metrics: Metrics, namespaces: tuple[str, ...]) -> None:
        async def credentials() -> Credentials:
            return Credentials(api.url, None, None, None, None, insecure=False)

        self.woken: list[Key] = []
        self.watched = Watched(namespaces, metrics)
        self.watched.expect()
        self.task = asyncio.create_task(
            HomeServerWatch(
                wake=lambda key, _: self.woken.append(key),
                credentials=credentials,
                namespaces=namespaces,
                watched=self.watched,
                pauses=Pauses(0.05, 0.05),
            ).run()
        )


@pytest.fixture
async def api() -> AsyncIterator[DiscoverableApi]:
    server = DiscoverableApi()
    async with server:
        yield server


@asynccontextmanager
async def watching(
    api: DiscoverableApi, metrics: Metrics, namespaces: tuple[str, ...] = ("a", "b")
) -> AsyncIterator[Watching]:
    running = Watching(api, metrics, namespaces)
    try:
        yield running
        assert not running.task.done()
    finally:
        running.task.cancel()
        await asyncio.wait([running.task])


async def put(api: FakeApi, namespace: str, name: str) -> Key:
    metadata = {"name": name, "namespace": namespace}
    await api.put(homeserver(metadata=metadata))
    return Key(namespace, name)


def lose(api: FakeApi, namespace: str, status: int = 403) -> None:
    """As when the Role of the namespace is gone, alone or with it."""
    api.fail("GET", f"/namespaces/{namespace}/{names.PLURAL}", status, times=ALWAYS)
    api.cut_watches()


def attempts(api: FakeApi, namespace: str) -> int:
    return sum(f"/namespaces/{namespace}/" in path for _, path in api.requests)


def sample(metrics: Metrics, namespace: str) -> float | None:
    name = "homeserver_operator_homeservers_watched"
    value: float | None = metrics.registry.get_sample_value(name, {"namespace": namespace})
    return value


@pytest.mark.parametrize("namespaces", [("a", "b"), ()], ids=["some namespaces", "all namespaces"])
async def test_what_is_there_wakes_and_what_changes_wakes_again(
    api: DiscoverableApi, metrics: Metrics, eventually: Eventually, namespaces: tuple[str, ...]
) -> None:
    old = await put(api, "a", "old")
    async with watching(api, metrics, namespaces) as running:
        await eventually(lambda: running.woken == [old])
        await eventually(lambda: all(sample(metrics, each) for each in namespaces or ("",)))
        new = await put(api, "b", "new")
        await eventually(lambda: running.woken == [old, new])

        assert running.watched.trouble() is None


@pytest.mark.long
async def test_a_lost_namespace_is_said_and_no_loss_for_the_others_and_heals_by_itself(
    api: DiscoverableApi,
    metrics: Metrics,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without patience, kopf ends for all namespaces at the ninth refusal for one of them."""
    async with watching(api, metrics) as running:
        await eventually(lambda: sample(metrics, "a") == sample(metrics, "b") == 1)
        before = attempts(api, "b")
        lose(api, "b")
        await eventually(lambda: attempts(api, "b") > before + 20)
        assert (sample(metrics, "a"), sample(metrics, "b")) == (1, 0)
        assert running.watched.trouble() is None
        said = "the HomeServers of the namespace b are not watched: 403 Forbidden"
        assert [r.message for r in caplog.records if "are not watched" in r.message] == [said]

        here = await put(api, "a", "here")
        await eventually(lambda: running.woken == [here])
        there = await put(api, "b", "there")
        api.faults.clear()
        await eventually(lambda: running.woken == [here, there])
        await eventually(lambda: sample(metrics, "b") == 1)


async def test_a_namespace_lost_from_the_start_keeps_no_other_waiting(
    api: DiscoverableApi, metrics: Metrics, eventually: Eventually
) -> None:
    here, there = await put(api, "a", "here"), await put(api, "b", "there")
    lose(api, "b")
    async with watching(api, metrics) as running:
        await eventually(lambda: running.woken == [here])
        await eventually(lambda: attempts(api, "b") > 20)
        api.faults.clear()
        await eventually(lambda: running.woken == [here, there])


async def test_all_namespaces_lost_is_said_by_the_readiness(
    api: DiscoverableApi, metrics: Metrics, eventually: Eventually
) -> None:
    lose(api, "a")
    lose(api, "b")
    async with watching(api, metrics) as running:
        trouble = "no HomeServers are watched: 403 Forbidden"
        await eventually(lambda: running.watched.trouble() == trouble)
        api.faults.clear()
        await eventually(lambda: running.watched.trouble() is None)


async def test_homeservers_that_are_not_discovered_at_first_are_waited_for(
    api: DiscoverableApi, metrics: Metrics, eventually: Eventually
) -> None:
    """A CRD is there before the API server serves it."""
    api.discovered = False
    key = await put(api, "a", "early")
    async with watching(api, metrics) as running:
        trouble = (
            "no HomeServers are watched: the API server does not know HomeServers "
            "(is the CRD there?)"
        )
        await eventually(lambda: running.watched.trouble() == trouble)
        await asyncio.sleep(0.3)
        api.discovered = True
        await eventually(lambda: running.woken == [key])
        await eventually(lambda: running.watched.trouble() is None)


async def test_an_error_that_ends_kopf_starts_it_anew(
    api: DiscoverableApi,
    metrics: Metrics,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As while the CRD is being replaced: its paths are gone for a moment."""
    key = await put(api, "a", "x")
    async with watching(api, metrics) as running:
        await eventually(lambda: running.woken == [key])
        await eventually(lambda: sample(metrics, "a") == sample(metrics, "b") == 1)
        api.fail("GET", f"/namespaces/a/{names.PLURAL}", 404)
        api.cut_watches()
        await eventually(lambda: "are not watched: kopf ended: APINotFoundError" in caplog.text)
        await eventually(lambda: sample(metrics, "a") == sample(metrics, "b") == 1)
        await eventually(lambda: running.woken == [key, key])


@pytest.mark.long
async def test_refused_credentials_are_asked_for_again_and_not_in_a_busy_loop(
    api: DiscoverableApi, metrics: Metrics, eventually: Eventually
) -> None:
    key = await put(api, "a", "x")
    api.fail("GET", f"/namespaces/a/{names.PLURAL}", 401, times=2)
    async with watching(api, metrics, ("a",)) as running:
        started = asyncio.get_running_loop().time()
        await eventually(lambda: running.woken == [key])

        assert asyncio.get_running_loop().time() - started > 1


async def test_a_kopf_that_hangs_in_its_end_ends_the_process(
    api: DiscoverableApi, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = False

    async def hang(*, insights: Any, **_: Any) -> None:
        insights.ready_resources.set()
        while not over:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    monkeypatch.setattr("kopf.operator", hang)
    monkeypatch.setattr(handlers, "END_TIMEOUT", 0.1)
    running = Watching(api, metrics, ("a",))
    try:
        with pytest.raises(handlers.HangingError, match="kopf hangs"):
            await asyncio.wait_for(running.task, 5)
    finally:
        over = True


def test_only_the_leader_is_expected_to_watch(metrics: Metrics) -> None:
    watched = Watched(("a",), metrics)
    assert watched.trouble() is None
    watched.expect()
    assert watched.trouble() == "no HomeServers are watched: their watch has not begun yet"
    watched.tell("a", None)
    assert watched.trouble() is None
