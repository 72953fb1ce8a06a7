"""Executing a plan: order, ownership by uid, what is final and what is tried again."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.shell.fake_api import FakeApi
from tests.shell.objects import NAMESPACE, child, homeserver

from homeserver_operator import apply
from homeserver_operator.api.actions import Amend, Apply, Delete, Event, Plan, Scale
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.plan import handover


@pytest.fixture
async def server(api: FakeApi) -> Object:
    return await api.put(homeserver())


def new(kind: str, name: str, **more: Any) -> Apply:
    return Apply(child(kind, name, **more), None, "is missing")


async def test_writes_go_in_the_plans_order_deletes_last(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    old = await api.put(child("ConfigMap", "old"))
    plan = Plan(
        applies=(new("ConfigMap", "c"), new("Service", "s"), new("Deployment", "d")),
        deletes=(Delete(ObjectKey("ConfigMap", "old"), old["metadata"]["uid"], "unused"),),
    )

    assert await apply.execute(cluster, server, plan) is None

    written = [(method, path.split("?")[0].split("/")[-1]) for method, path in api.writes()]
    assert written == [("PATCH", "c"), ("PATCH", "s"), ("PATCH", "d"), ("DELETE", "old")]


async def test_who_asks_for_a_kind_that_the_cluster_lacks_is_told_what_to_install(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    api.fail("PATCH", "/httproutes", 404)
    route = new("HTTPRoute", "alpha-main")

    old = await api.put(child("ConfigMap", "old"))
    unused = Delete(ObjectKey("ConfigMap", "old"), old["metadata"]["uid"], "unused")

    told = await apply.execute(cluster, server, Plan(applies=(route,), deletes=(unused,)))

    assert told is not None
    assert told.startswith("HTTPRoute/alpha-main: the cluster does not know httproutes")
    assert "install the CRDs of the Gateway API" in told
    assert api.find("ConfigMap", "old"), "what comes after a refusal is not done"


async def test_owner_references_are_replaced_and_nothing_else(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    live = await api.put({**child("Secret", "key"), "data": {"a": "b"}})
    owners = [{"kind": "HomeServer", "name": "alpha", "uid": server["metadata"]["uid"]}]
    uid, version = live["metadata"]["uid"], live["metadata"]["resourceVersion"]
    key = ObjectKey("Secret", "key")

    order = Amend(key, uid, version, {"ownerReferences": owners}, "retention")
    plan = Plan(amends=(order,))
    assert await apply.execute(cluster, server, plan) is None

    found = api.find("Secret", "key")
    assert found is not None
    assert found["data"] == {"a": "b"}
    assert found["metadata"]["ownerReferences"] == owners
    with pytest.raises(ApiError, match="Conflict"):
        await apply.execute(cluster, server, plan)


async def test_a_record_of_fields_is_replaced_and_nothing_else(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    live = await api.put(child("Deployment", "main", spec={"replicas": 1}))
    key, metadata = ObjectKey("Deployment", "main"), live["metadata"]
    record = {"managedFields": [{"manager": "a"}]}
    order = Amend(key, metadata["uid"], metadata["resourceVersion"], record, "wiped")

    plan = Plan(amends=(order,))
    assert await apply.execute(cluster, server, plan) is None

    found = api.find("Deployment", "main")
    assert found is not None
    assert found["spec"] == {"replicas": 1}
    assert found["metadata"]["managedFields"] == [{"manager": "a"}]
    with pytest.raises(ApiError, match="Conflict"):
        await apply.execute(cluster, server, plan)


@pytest.fixture
async def old(api: FakeApi) -> list[Object]:
    """Two ReplicaSets and a Deployment, all of two pods."""
    kinds = {"rs-a": "ReplicaSet", "rs-b": "ReplicaSet", "d": "Deployment"}
    spec = {"replicas": 2}
    return [await api.put(child(kind, name, spec=spec)) for name, kind in kinds.items()]


def let_go(*workloads: Object) -> tuple[Scale, ...]:
    return tuple(handover.scale(workload, 0, "handed over") for workload in workloads)


def sizes(api: FakeApi) -> dict[str, int]:
    found = (*api.of_kind("ReplicaSet"), *api.of_kind("Deployment"))
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in found}


async def test_old_pods_are_let_go_after_services_turn_and_before_anything_is_deleted(
    api: FakeApi, cluster: Cluster, server: Object, old: list[Object]
) -> None:
    unused = await api.put(child("ConfigMap", "unused"))
    plan = Plan(
        applies=(new("Service", "s"),),
        scales=let_go(*old),
        deletes=(Delete(ObjectKey("ConfigMap", "unused"), unused["metadata"]["uid"], "unused"),),
        decisive=frozenset({ObjectKey("Service", "s")}),
    )

    assert await apply.execute(cluster, server, plan) is None

    first, *scales, last = [path.split("?")[0] for _, path in api.writes()]
    assert first.endswith("/services/s")
    assert {path.split("/v1/namespaces/chat/")[1] for path in scales} == {
        "replicasets/rs-a/scale", "replicasets/rs-b/scale", "deployments/d",
    }  # fmt: skip
    assert last.endswith("/configmaps/unused")
    assert sizes(api) == {"rs-a": 0, "rs-b": 0, "d": 0}


@pytest.mark.parametrize("status", [422, 500])
async def test_old_pods_serve_on_while_their_service_cannot_be_turned(
    api: FakeApi, cluster: Cluster, server: Object, old: list[Object], status: int
) -> None:
    api.fail("PATCH", "/services/s", status, times=9)
    plan = Plan(applies=(new("Service", "s"), new("Service", "t")), scales=let_go(*old))

    with suppress(ApiError):
        assert await apply.execute(cluster, server, plan)

    assert api.find("Service", "t")
    assert sizes(api) == {"rs-a": 2, "rs-b": 2, "d": 2}


async def test_once_the_decisive_service_is_turned_old_pods_go_together_with_the_others(
    api: FakeApi, cluster: Cluster, server: Object, old: list[Object]
) -> None:
    """Then nobody can go back, and new pods are called by other names than old ones."""
    api.fail("PATCH", "/services/t", 422)
    first, second = new("Service", "s"), new("Service", "t")
    plan = Plan(applies=(second, first), scales=let_go(*old), decisive=frozenset({first.key}))

    assert await apply.execute(cluster, server, plan)

    assert api.find("Service", "s")
    assert sizes(api) == {"rs-a": 0, "rs-b": 0, "d": 0}


async def test_old_pods_are_let_go_all_at_once(
    api: FakeApi, cluster: Cluster, server: Object, old: list[Object]
) -> None:
    # Whoever is answered late holds up nobody else.
    for item in old:
        api.fail("PATCH", f"/{item['metadata']['name']}", 409, delay=0.3)

    with pytest.raises(ApiError):
        await asyncio.wait_for(apply.execute(cluster, server, Plan(scales=let_go(*old))), 0.8)

    assert len(api.writes()) == 3


@pytest.mark.parametrize("outdated", [{"uid": "x"}, {"version": "x"}], ids=["uid", "version"])
async def test_one_that_is_another_by_now_is_not_scaled_and_the_others_are(
    api: FakeApi, cluster: Cluster, server: Object, old: list[Object], outdated: dict[str, Any]
) -> None:
    first, *others = let_go(*old)
    unused = Delete(ObjectKey("ConfigMap", "unused"), "uid", "unused")
    plan = Plan(scales=(replace(first, **outdated), *others), deletes=(unused,))

    with pytest.raises(ApiError) as caught:
        await apply.execute(cluster, server, plan)

    assert caught.value.status == 409
    assert sizes(api) == {"rs-a": 2, "rs-b": 0, "d": 0}
    assert "DELETE" not in {method for method, _ in api.writes()}, "nothing stands on a refusal"


async def test_an_object_that_was_deleted_meanwhile_is_not_made_anew(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    plan = Plan(applies=(Apply(child("ConfigMap", "c"), "uid-of-the-deleted", "drift"),))

    with pytest.raises(ApiError) as caught:
        await apply.execute(cluster, server, plan)

    assert caught.value.status == 409
    assert api.find("ConfigMap", "c") is None


async def test_a_namesake_of_the_object_is_not_touched(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    namesake = await api.put(child("ConfigMap", "c", data={"whose": "theirs"}))
    plan = Plan(applies=(Apply(child("ConfigMap", "c"), "uid-of-the-deleted", "drift"),))

    with pytest.raises(ApiError) as caught:
        await apply.execute(cluster, server, plan)

    assert caught.value.status == 422
    assert api.find("ConfigMap", "c") == namesake


async def test_an_apply_as_another_manager_says_so(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    live = await api.put(child("Deployment", "d"))
    number = child("Deployment", "d", spec={"replicas": 3})
    order = Apply(number, live["metadata"]["uid"], "handed over", "another")

    await apply.execute(cluster, server, Plan(applies=(order, new("ConfigMap", "c"))))

    (_, first), (_, second) = api.writes()
    assert "fieldManager=another&" in first
    assert "fieldManager=homeserver-operator&" in second


async def test_a_deployments_number_becomes_the_scale_managers_on_what_it_was_decided(
    api: FakeApi, cluster: Cluster, server: Object, old: list[Object]
) -> None:
    *_, deployment = old
    await apply.execute(cluster, server, Plan(scales=let_go(deployment)))

    (_, path), body = api.writes()[-1], api.bodies[-1]
    assert "/deployments/d?" in path
    assert "fieldManager=homeserver-operator-scale&" in path
    assert (body["kind"], body["spec"]) == ("Deployment", {"replicas": 0})
    assert body["metadata"]["resourceVersion"] == deployment["metadata"]["resourceVersion"]


async def test_the_plans_own_manifest_stays_as_it_was(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    live = await api.put(child("ConfigMap", "c"))
    manifest = child("ConfigMap", "c", data={"a": "b"})
    await apply.execute(
        cluster, server, Plan(applies=(Apply(manifest, live["metadata"]["uid"], "drift"),))
    )

    assert manifest == child("ConfigMap", "c", data={"a": "b"})
    assert api.bodies[-1]["data"] == {"a": "b"}


async def test_a_refusal_names_the_object_and_stops_the_plan(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    live = await api.put({**child("ConfigMap", "frozen"), "immutable": True})
    uid = live["metadata"]["uid"]
    plan = Plan(
        applies=(
            Apply(child("ConfigMap", "frozen", data={"a": "b"}), uid, "drift"),
            new("Deployment", "d"),
        )
    )

    failure = await apply.execute(cluster, server, plan)

    assert failure == "ConfigMap/frozen: field is immutable when `immutable` is set"
    assert api.find("Deployment", "d") is None


@pytest.mark.parametrize("status", [404, 409, 429, 500, 503])
async def test_what_may_pass_is_raised_to_be_tried_again(
    api: FakeApi, cluster: Cluster, server: Object, status: int
) -> None:
    api.fail("PATCH", "configmaps", status, times=9, headers={"Retry-After": "0"})

    with pytest.raises(ApiError) as caught:
        await apply.execute(cluster, server, Plan(applies=(new("ConfigMap", "c"),)))

    assert caught.value.status == status


async def test_what_the_api_server_fails_at_names_the_object(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    api.fail("PATCH", "configmaps", 500, body={"message": "failed calling webhook"})

    with pytest.raises(ApiError, match="ConfigMap/c: failed calling webhook"):
        await apply.execute(cluster, server, Plan(applies=(new("ConfigMap", "c"),)))


@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_what_will_not_pass_is_a_message(
    api: FakeApi, cluster: Cluster, server: Object, status: int
) -> None:
    api.fail("PATCH", "configmaps", status, body={"message": "because"})

    failure = await apply.execute(cluster, server, Plan(applies=(new("ConfigMap", "c"),)))

    assert failure == "ConfigMap/c: because"


async def test_deleting_what_is_gone_is_fine(cluster: Cluster, server: Object) -> None:
    plan = Plan(deletes=(Delete(ObjectKey("Secret", "gone"), "uid", "unused"),))

    assert await apply.execute(cluster, server, plan) is None


async def test_a_namesake_of_what_is_to_be_deleted_stays(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    await api.put(child("ConfigMap", "c"))
    plan = Plan(deletes=(Delete(ObjectKey("ConfigMap", "c"), "another", "unused"),))

    with pytest.raises(ApiError):
        await apply.execute(cluster, server, plan)

    assert api.find("ConfigMap", "c")


async def test_the_status_goes_to_this_very_homeserver(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    await apply.status(cluster, server, {"observedGeneration": 1})
    await api.remove("HomeServer", "alpha")
    await api.put(homeserver())

    with pytest.raises(ApiError):
        await apply.status(cluster, server, {"observedGeneration": 2})

    successor = api.find("HomeServer", "alpha")
    assert successor is not None
    assert "status" not in successor


async def test_events_are_posted_about_the_homeserver(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    await apply.events(cluster, server, (Event("Warning", "NameConflict", "x" * 2000),))

    [event] = api.of_kind("Event")
    assert event["regarding"]["uid"] == server["metadata"]["uid"]
    assert (event["type"], event["reason"]) == ("Warning", "NameConflict")
    assert len(event["note"]) == 1024
    assert event["metadata"]["namespace"] == NAMESPACE


async def test_an_event_that_cannot_be_posted_fails_nothing(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    api.fail("POST", "events", 403)

    await apply.events(
        cluster, server, (Event("Normal", "A", "first"), Event("Normal", "B", "second"))
    )

    assert [event["reason"] for event in api.of_kind("Event")] == ["B"]
