"""The watch of children: wakes owners, resumes after cuts, starts over after a 410."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.shell import virtual_time
from tests.shell.conftest import Eventually
from tests.shell.fake_api import FakeApi
from tests.shell.objects import NAMESPACE, child, foreign

from homeserver_operator import cluster as cluster_module
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.world import Key
from homeserver_operator.cluster import ApiError, Cluster, Page
from homeserver_operator.metrics import Metrics
from homeserver_operator.pauses import Pauses
from homeserver_operator.watch import ChildWatch

ALPHA, BETA = Key(NAMESPACE, "alpha"), Key(NAMESPACE, "beta")

Start = Callable[[], Awaitable[None]]


class Woken:
    """What a watch reported."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.missed = 0

    def miss(self) -> None:
        self.missed += 1


@asynccontextmanager
async def watching(
    cluster: Cluster, namespace: str | None = None, *, kind: str = "ConfigMap"
) -> AsyncIterator[tuple[Woken, ChildWatch]]:
    woken = Woken()
    watch = ChildWatch(
        cluster,
        BY_KIND[kind],
        namespace,
        wake=woken.keys.append,
        missed=woken.miss,
        metrics=Metrics(),
        pauses=Pauses(first=0.01),
    )
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(watch.synced.wait(), 5)
        yield woken, watch
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_changed_child_wakes_its_homeserver(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster) as (woken, _):
        await api.put(child("ConfigMap", "c"))
        await eventually(lambda: woken.keys == [ALPHA])
        await api.put(child("ConfigMap", "d", owner="beta"))
        await eventually(lambda: woken.keys == [ALPHA, BETA])
        await api.remove("ConfigMap", "c")
        await eventually(lambda: woken.keys == [ALPHA, BETA, ALPHA])


async def test_what_changes_by_itself_all_the_time_wakes_only_when_it_comes_or_goes(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    """An autoscaler writes into its status what it measures, several times a minute."""
    async with watching(cluster, kind="HorizontalPodAutoscaler") as (woken, _):
        await api.put(autoscaler("h", measured=1))
        await eventually(lambda: woken.keys == [ALPHA])
        await api.put(autoscaler("h", measured=2))
        await api.put(autoscaler("other", owner="beta"))
        await eventually(lambda: woken.keys == [ALPHA, BETA])
        await api.remove("HorizontalPodAutoscaler", "h")
        await eventually(lambda: woken.keys == [ALPHA, BETA, ALPHA])


def autoscaler(name: str, *, owner: str = "alpha", measured: int = 0) -> dict[str, Any]:
    found = child("HorizontalPodAutoscaler", name, owner, status={"currentReplicas": measured})
    return {**found, "apiVersion": "autoscaling/v2"}


async def test_foreign_objects_do_not_even_arrive(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster) as (woken, _):
        await api.put(foreign("ConfigMap", "theirs"))
        await api.put(child("ConfigMap", "ours"))
        await eventually(lambda: woken.keys)

    assert woken.keys == [ALPHA]


async def test_what_exists_at_the_start_wakes_nobody_and_costs_one_item(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    for number in range(100):
        await api.put(child("ConfigMap", f"c{number}"))
    async with watching(cluster) as (woken, _):
        await eventually(lambda: api.watching == 1)

    assert (woken.keys, woken.missed) == ([], 0)
    assert [path for _, path in api.requests if "limit=1&" in path] == [api.requests[0][1]]
    assert len(api.requests) == 2


async def test_a_cut_watch_resumes_and_loses_nothing(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster) as (woken, _):
        await api.put(child("ConfigMap", "c"))
        await eventually(lambda: woken.keys == [ALPHA])
        api.cut_watches()
        await api.put(child("ConfigMap", "d", owner="beta"))
        await eventually(lambda: woken.keys == [ALPHA, BETA])

    lists = [path for _, path in api.requests if "limit=1" in path]
    assert (len(lists), woken.missed) == (1, 0)


async def test_after_a_410_everybody_is_woken_because_changes_may_be_lost(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster) as (woken, _):
        await eventually(lambda: api.watching == 1)
        await api.put(child("ConfigMap", "lost"))
        await eventually(lambda: woken.keys)
        await api.put(foreign("Secret", "moves-the-version-on"))
        api.compact()
        api.cut_watches()
        await eventually(lambda: woken.missed == 1)
        await api.put(child("ConfigMap", "d", owner="beta"))
        await eventually(lambda: BETA in woken.keys)


async def test_bookmarks_move_the_version_to_resume_from(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster) as (woken, _):
        await eventually(lambda: api.watching == 1)
        await api.bookmark()
        await eventually(lambda: api.watching == 1)
        await asyncio.sleep(0.05)
        api.history.clear()
        api.compacted = int(api.requests[-1][1].split("resourceVersion=")[1]) + 1
        api.cut_watches()
        await api.put(child("ConfigMap", "c"))
        await eventually(lambda: woken.keys == [ALPHA])

    assert woken.missed == 0


async def test_errors_are_ridden_out(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster) as (woken, _):
        await eventually(lambda: api.watching == 1)
        api.fail("GET", "watch=true", 503, times=3)
        api.cut_watches()
        await api.put(child("ConfigMap", "c"))
        await eventually(lambda: woken.keys == [ALPHA])


async def test_a_watch_that_went_silent_is_given_up(
    api: FakeApi, cluster: Cluster, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "WATCH_SILENCE", 0.1)
    async with watching(cluster):
        await eventually(lambda: len([p for _, p in api.requests if "watch=true" in p]) >= 3)


def test_a_quiet_watch_begins_again_at_once_however_often() -> None:
    ended: list[float] = []
    gaps: list[float] = []

    class Quiet(Cluster):
        """Lists, and then has nothing to tell until the watch counts as dead."""

        def __init__(self) -> None:
            pass

        async def pages(self, *_: Any, **__: Any) -> AsyncGenerator[Page, None]:
            yield Page((), "1")

        async def watch(self, *_: Any, **__: Any) -> AsyncGenerator[Mapping[str, Any], None]:
            clock = asyncio.get_running_loop().time
            gaps.extend(clock() - time for time in ended[-1:])
            await asyncio.sleep(cluster_module.WATCH_SILENCE)
            ended.append(clock())
            raise ApiError(0, "Timeout", "silence")
            yield {}  # which makes it a generator

    async def watch() -> None:
        child_watch = ChildWatch(
            Quiet(),
            BY_KIND["ConfigMap"],
            None,
            wake=lambda _: None,
            missed=lambda: None,
            metrics=Metrics(),
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(3600):
                await child_watch.run()

    virtual_time.run(watch())

    assert len(gaps) > 30
    assert max(gaps) <= 0.5


async def test_a_namespaced_watch_stays_in_its_namespace(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    async with watching(cluster, NAMESPACE):
        await eventually(lambda: api.watching == 1)

    assert all(f"/namespaces/{NAMESPACE}/" in path for _, path in api.requests)


async def test_a_kind_that_the_cluster_lacks_costs_no_more_than_a_look_now_and_then(
    api: FakeApi, cluster: Cluster, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """Once it is there, everyone is woken: who waits for it need not wait for the resync."""
    api.fail("GET", "/httproutes", 404, times=3)
    woken = Woken()
    watch = ChildWatch(
        cluster,
        BY_KIND["HTTPRoute"],
        None,
        wake=woken.keys.append,
        missed=woken.miss,
        metrics=Metrics(),
        absent_pause=0.05,
    )
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(watch.synced.wait(), 5)
        assert not woken.missed
        await eventually(lambda: woken.missed == 1)
        await api.put(child("HTTPRoute", "r"))
        await eventually(lambda: woken.keys == [ALPHA])
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert len([path for _, path in api.requests if "limit=1" in path]) == 4
    assert caplog.text == ""


async def test_a_namespace_that_may_not_be_watched_keeps_nobody_waiting(
    api: FakeApi, cluster: Cluster, eventually: Eventually
) -> None:
    """Once it may be, everyone is woken, because changes may have been missed."""
    api.fail("GET", f"/namespaces/{NAMESPACE}/", 403, times=10**6)
    async with watching(cluster, NAMESPACE) as (woken, _):
        assert not woken.missed
        api.faults.clear()
        await eventually(lambda: woken.missed == 1)
        await api.put(child("ConfigMap", "c"))
        await eventually(lambda: woken.keys == [ALPHA])
