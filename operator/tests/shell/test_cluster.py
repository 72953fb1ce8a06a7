"""The port against an API server in memory: verbs, guard, throttling, errors."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.shell.fake_api import FakeApi
from tests.shell.objects import NAMESPACE, child, homeserver

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.cluster import ApiError, Cluster, LeadershipLostError
from homeserver_operator.metrics import Metrics
from homeserver_operator.resources import HOMESERVER
from homeserver_operator.transport import Request, Transport

CONFIG_MAP = BY_KIND["ConfigMap"]
SECRET = BY_KIND["Secret"]


async def test_an_object_that_does_not_exist_is_none(cluster: Cluster) -> None:
    assert await cluster.get(CONFIG_MAP, NAMESPACE, "absent") is None


async def test_a_list_gathers_all_pages_tells_each_items_kind_and_drops_fields_owners(
    api: FakeApi, cluster: Cluster
) -> None:
    for number in range(7):
        item = child("ConfigMap", f"c{number}")
        item["metadata"]["managedFields"] = [{"manager": "homeserver-operator"}]
        await api.put(item)
    await api.put(child("ConfigMap", "other", owner="beta"))

    found = await cluster.list(
        CONFIG_MAP, NAMESPACE, labels="homeserver-operator.io/homeserver=alpha", limit=3
    )

    assert [item["metadata"]["name"] for item in found] == [f"c{n}" for n in range(7)]
    assert {(item["kind"], item["apiVersion"]) for item in found} == {("ConfigMap", "v1")}
    assert not any("managedFields" in item["metadata"] for item in found)
    assert len(api.requests) == 3


async def test_a_list_keeps_the_owners_of_fields_that_several_managers_share(
    api: FakeApi, cluster: Cluster
) -> None:
    item = child("Deployment", "d")
    item["metadata"]["managedFields"] = owners = [{"manager": "homeserver-operator"}]
    await api.put(item)

    [found] = await cluster.list(BY_KIND["Deployment"], NAMESPACE, labels="")

    assert found["metadata"]["managedFields"] == owners


async def test_an_apply_takes_over_strictly_under_our_field_manager(
    api: FakeApi, cluster: Cluster
) -> None:
    await cluster.apply(CONFIG_MAP, NAMESPACE, child("ConfigMap", "c"))

    method, path = api.requests[-1]
    assert method == "PATCH"
    assert "fieldManager=homeserver-operator&fieldValidation=Strict&force=true" in path
    assert "timeout=30000ms" in path


async def test_a_status_is_applied_on_the_subresource(api: FakeApi, cluster: Cluster) -> None:
    server = await api.put(homeserver())

    await cluster.apply(HOMESERVER, NAMESPACE, {**server, "status": {"x": 1}}, subresource="status")

    stored = api.find("HomeServer", "alpha")
    assert stored is not None
    assert stored["status"] == {"x": 1}
    assert "/homeservers/alpha/status?" in api.requests[-1][1]


async def test_a_delete_is_for_one_uid(api: FakeApi, cluster: Cluster) -> None:
    await api.put(child("ConfigMap", "c"))

    with pytest.raises(ApiError, match="409 Conflict"):
        await cluster.delete(CONFIG_MAP, NAMESPACE, "c", uid="another")

    assert api.find("ConfigMap", "c")
    assert api.bodies[-1]["propagationPolicy"] == "Background"


async def test_every_write_asks_the_guard_and_no_read_does(api: FakeApi, cluster: Cluster) -> None:
    def lost() -> float:
        raise LeadershipLostError("lost")

    zombie = cluster.guarded(lost)
    found = await api.put(child("ConfigMap", "c"))
    writes: list[Any] = [
        zombie.apply(CONFIG_MAP, NAMESPACE, found),
        zombie.create(CONFIG_MAP, NAMESPACE, child("ConfigMap", "new")),
        zombie.replace(CONFIG_MAP, NAMESPACE, found),
        zombie.delete(CONFIG_MAP, NAMESPACE, "c", uid=found["metadata"]["uid"]),
    ]
    for write in writes:
        with pytest.raises(LeadershipLostError):
            await write

    assert await zombie.get(CONFIG_MAP, NAMESPACE, "c") is not None
    assert api.writes() == []


async def test_a_write_may_not_last_longer_than_leadership(api: FakeApi, cluster: Cluster) -> None:
    api.fail("PATCH", "configmaps", 200, delay=5)
    leader = cluster.guarded(lambda: 0.2)
    before = time.monotonic()

    with pytest.raises(ApiError) as caught:
        await leader.apply(CONFIG_MAP, NAMESPACE, child("ConfigMap", "c"))

    assert (caught.value.status, caught.value.reason) == (0, "Timeout")
    assert time.monotonic() - before < 2
    assert "timeout=200ms" in api.requests[-1][1]


async def test_the_guard_is_asked_again_before_a_throttled_write_is_repeated(
    api: FakeApi, cluster: Cluster
) -> None:
    answers = iter([5.0])

    def guard() -> float:
        try:
            return next(answers)
        except StopIteration:
            raise LeadershipLostError("lost") from None

    api.fail("PATCH", "configmaps", 429, headers={"Retry-After": "0"})

    with pytest.raises(LeadershipLostError):
        await cluster.guarded(guard).apply(CONFIG_MAP, NAMESPACE, child("ConfigMap", "c"))

    assert len(api.writes()) == 1


@pytest.mark.long
async def test_throttling_is_obeyed_at_the_servers_pace(api: FakeApi, cluster: Cluster) -> None:
    api.fail("GET", "configmaps", 429, times=1, headers={"Retry-After": "1"})
    before = time.monotonic()

    assert await cluster.get(CONFIG_MAP, NAMESPACE, "absent") is None

    assert time.monotonic() - before >= 1


async def test_endless_throttling_ends_in_an_error(api: FakeApi, cluster: Cluster) -> None:
    api.fail("GET", "configmaps", 429, times=100, headers={"Retry-After": "0"})

    with pytest.raises(ApiError) as caught:
        await cluster.get(CONFIG_MAP, NAMESPACE, "absent")

    assert caught.value.status == 429
    assert len(api.requests) == 4


async def test_an_error_carries_what_the_server_says(api: FakeApi, cluster: Cluster) -> None:
    body = {"reason": "Forbidden", "message": "no", "details": {"causes": [{"field": "spec.x"}]}}
    api.fail("PATCH", "configmaps", 403, body=body)

    with pytest.raises(ApiError) as caught:
        await cluster.apply(CONFIG_MAP, NAMESPACE, child("ConfigMap", "c"))

    assert str(caught.value) == "no (403 Forbidden)"
    assert caught.value.fields == ("spec.x",)


async def test_an_error_about_a_secret_quotes_nothing_of_it(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as caught:
        await cluster.apply(SECRET, NAMESPACE, child("Secret", "s", data={"k": "hunter2!"}))

    assert caught.value.status == 400
    assert "hunter2" not in repr(caught.value) + str(caught.value)


async def test_no_answer_is_an_error_without_a_status(metrics: Metrics, api: FakeApi) -> None:
    nobody = Transport(Configuration(host="http://127.0.0.1:9"), metrics)
    try:
        with pytest.raises(ApiError) as caught:
            await Cluster(nobody).get(CONFIG_MAP, NAMESPACE, "c")
    finally:
        await nobody.close()

    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


async def test_an_answer_that_is_no_json_is_an_error(transport: Transport) -> None:
    class Html(Transport):
        async def _open(self, *_: Any) -> Any:
            class Response:
                status = 200

                async def read(self) -> bytes:
                    return b"<html>"

            return Response()

    html = Html.__new__(Html)
    html.__dict__ = transport.__dict__

    with pytest.raises(ApiError, match="NotJSON"):
        await html.send(Request("GET", "/api/v1/pods", "list", "Pod"))


async def test_requests_are_counted_by_verb_kind_and_code(
    cluster: Cluster, metrics: Metrics
) -> None:
    await cluster.get(CONFIG_MAP, NAMESPACE, "absent")
    await cluster.apply(CONFIG_MAP, NAMESPACE, child("ConfigMap", "c"))

    def count(verb: str, code: str) -> float | None:
        labels = {"verb": verb, "kind": "ConfigMap", "code": code}
        name = "homeserver_operator_api_requests_total"
        found: float | None = metrics.registry.get_sample_value(name, labels)
        return found

    assert (count("get", "404"), count("apply", "201")) == (1, 1)


async def test_a_watch_yields_what_happens_after_its_version(
    api: FakeApi, cluster: Cluster
) -> None:
    first = await api.put(child("ConfigMap", "before"))
    version = first["metadata"]["resourceVersion"]
    seen = []

    async def watch() -> None:
        events = cluster.watch(CONFIG_MAP, None, labels="", resource_version=version)
        async with aclosing(events):
            async for event in events:
                seen.append((event["type"], event["object"]["metadata"].get("name")))
                if len(seen) == 3:
                    return

    watching = asyncio.create_task(watch())
    await api.put(child("ConfigMap", "after"))
    await api.bookmark()
    await api.remove("ConfigMap", "before")
    await asyncio.wait_for(watching, 5)

    assert seen == [("ADDED", "after"), ("BOOKMARK", None), ("DELETED", "before")]


async def test_a_watch_from_a_version_too_old_says_so(api: FakeApi, cluster: Cluster) -> None:
    await api.put(child("ConfigMap", "c"))
    api.compact()

    with pytest.raises(ApiError) as caught:
        async for _ in cluster.watch(CONFIG_MAP, None, labels="", resource_version="1"):
            pass

    assert caught.value.status == 410


async def test_of_a_kind_that_the_cluster_lacks_there_is_nothing(
    api: FakeApi, cluster: Cluster
) -> None:
    api.fail("GET", "/httproutes", 404)
    assert await cluster.list(BY_KIND["HTTPRoute"], NAMESPACE, labels="") == ()


async def test_a_kind_of_kubernetes_own_is_never_lacking(api: FakeApi, cluster: Cluster) -> None:
    api.fail("GET", "/ingresses", 404)
    with pytest.raises(ApiError):
        await cluster.list(BY_KIND["Ingress"], NAMESPACE, labels="")
