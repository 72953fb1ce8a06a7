"""What one reconcile reads, and how little it costs."""

import base64

import pytest
from tests.shell.fake_api import FakeApi
from tests.shell.objects import NAMESPACE, child, foreign, homeserver, pod

from homeserver_operator import observe
from homeserver_operator.api.actions import Apply, Plan
from homeserver_operator.api.kinds import MANAGED_KINDS
from homeserver_operator.api.world import Key, Object, ObjectKey
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.states import State, States

NOTHING: frozenset[ObjectKey] = frozenset()


class NoStates(States):
    """Nobody answers; remembers who was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def of(self, pods: object) -> dict[str, State]:
        assert hasattr(pods, "__iter__")
        self.asked = [each["metadata"]["name"] for each in pods]
        return {}


@pytest.fixture
async def server(api: FakeApi) -> Object:
    return await api.put(homeserver())


async def test_a_deleted_homeserver_is_none(cluster: Cluster) -> None:
    assert await observe.homeserver(cluster, Key(NAMESPACE, "gone")) is None


async def test_the_world_holds_what_carries_the_label_by_kind_and_name(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    await api.put(child("Deployment", "alpha-main"))
    await api.put(child("Service", "alpha-main"))
    await api.put(child("Service", "beta-main", owner="beta"))
    await api.put(foreign("Service", "theirs"))
    await api.put(child("ReplicaSet", "alpha-main-1"))
    await api.put(pod("alpha-main-1-x", "10.0.0.1"))
    states = NoStates()

    world = await observe.world(cluster, states, server, NOTHING)

    assert set(world.children) == {
        ObjectKey("Deployment", "alpha-main"),
        ObjectKey("Service", "alpha-main"),
        ObjectKey("Pod", "alpha-main-1-x"),
    }
    assert [each["metadata"]["name"] for each in world.replica_sets] == ["alpha-main-1"]
    assert states.asked == ["alpha-main-1-x"]


async def test_the_world_costs_one_list_per_kind(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    for number in range(20):
        await api.put(child("ConfigMap", f"c{number}"))

    await observe.world(cluster, NoStates(), server, NOTHING)

    assert len(api.requests) == len(MANAGED_KINDS) + 1


async def test_references_are_decoded_and_missing_ones_are_none(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    encoded = base64.b64encode(b"\x00secret").decode()
    secret = {**foreign("Secret", "theirs"), "data": {"key": encoded, "empty": None}}
    await api.put(secret)
    files = {**foreign("ConfigMap", "files"), "data": {"a": "ä"}, "binaryData": {"b": encoded}}
    await api.put(files)
    wanted = {("Secret", "theirs"), ("ConfigMap", "files"), ("Secret", "absent")}

    world = await observe.world(
        cluster, NoStates(), server, frozenset(ObjectKey(*each) for each in wanted)
    )

    assert world.references == {
        ObjectKey("Secret", "theirs"): {"key": b"\x00secret", "empty": b""},
        ObjectKey("ConfigMap", "files"): {"a": "ä".encode(), "b": b"\x00secret"},
        ObjectKey("Secret", "absent"): None,
    }


async def test_a_generated_secret_is_not_read_twice(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    await api.put(child("Secret", "alpha-redis", data={"password": "cHc="}))
    key = ObjectKey("Secret", "alpha-redis")

    world = await observe.world(cluster, NoStates(), server, frozenset({key}))

    assert world.references[key] == {"password": b"pw"}
    assert not any("/secrets/alpha-redis" in path for _, path in api.requests)


async def test_a_failing_list_is_raised_as_it_is(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    api.fail("GET", "/deployments", 500, times=9)

    with pytest.raises(ApiError) as caught:
        await observe.world(cluster, NoStates(), server, NOTHING)

    assert caught.value.status == 500


def controlled(kind: str, name: str, uid: str) -> dict[str, object]:
    found = foreign(kind, name)
    found["metadata"]["ownerReferences"] = [{"uid": uid, "controller": True}]
    return found


@pytest.mark.parametrize(
    ("existing", "strange"),
    [
        pytest.param(None, False, id="nothing of that name"),
        pytest.param(foreign("Service", "s"), True, id="somebody's object without a controller"),
        pytest.param(controlled("Service", "s", "other"), True, id="another controller's object"),
        pytest.param(child("Service", "s"), False, id="ours by label, without a controller"),
        pytest.param(child("Service", "s", owner="beta"), True, id="another HomeServer's"),
        pytest.param(
            {**child("Service", "s"), **controlled("Service", "s", "other")},
            True,
            id="our labels under another controller",
        ),
    ],
)
async def test_a_stranger_is_what_exists_and_is_not_ours(
    api: FakeApi, cluster: Cluster, server: Object, existing: Object | None, strange: bool
) -> None:
    if existing:
        await api.put(dict(existing))
    plan = Plan(applies=(Apply(child("Service", "s"), None, "new"),))

    found = await observe.strangers(cluster, server, plan)

    assert found == ((ObjectKey("Service", "s"),) if strange else ())


async def test_our_controller_makes_it_ours_even_if_somebody_took_the_labels_away(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    await api.put(controlled("Service", "s", server["metadata"]["uid"]))
    plan = Plan(applies=(Apply(child("Service", "s"), None, "new"),))

    assert await observe.strangers(cluster, server, plan) == ()


async def test_only_creations_are_looked_up(api: FakeApi, cluster: Cluster, server: Object) -> None:
    api.requests.clear()
    plan = Plan(applies=(Apply(child("Service", "s"), "uid-9", "changed"),))

    assert await observe.strangers(cluster, server, plan) == ()
    assert api.requests == []
