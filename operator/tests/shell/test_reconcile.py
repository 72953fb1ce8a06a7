"""The driver with the real core, against an API server in memory."""

import asyncio
import base64
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.core import kstatus
from tests.shell.conftest import Eventually
from tests.shell.fake_api import FakeApi
from tests.shell.objects import NAMESPACE, foreign, homeserver

from homeserver_operator.api.world import Defaults, Key
from homeserver_operator.cluster import ApiError, Cluster, LeadershipLostError
from homeserver_operator.metrics import Metrics
from homeserver_operator.reconcile import (
    REWRITES_RECHECK,
    STRANGERS_RECHECK,
    Reconciler,
    RefusedError,
)
from homeserver_operator.states import States

ALPHA = Key(NAMESPACE, "alpha")
DEFAULTS = Defaults(
    image="synapse:1", postgres_image="postgres:1", redis_image="redis:1", router_image="router:1"
)


@pytest.fixture
async def reconcile(cluster: Cluster, metrics: Metrics) -> AsyncIterator[Reconciler]:
    async with States(lambda: 0.0, port=9) as states:
        yield Reconciler(
            cluster=cluster,
            states=states,
            defaults=DEFAULTS,
            metrics=metrics,
            now=lambda: "2026-01-01T00:00:00Z",
        )


async def settle(api: FakeApi, reconcile: Reconciler, key: Key = ALPHA) -> int:
    """Reconcile until a run writes nothing; return the number of runs that wrote."""
    for runs in range(10):
        before = len(api.writes())
        await reconcile(key)
        if len(api.writes()) == before:
            return runs
    pytest.fail(f"no end of writes: {api.writes()[before:]}")


def conditions(api: FakeApi) -> dict[str, Any]:
    server = api.find("HomeServer", "alpha")
    assert server is not None
    return {each["type"]: each for each in server["status"]["conditions"]}


async def test_a_deleted_homeserver_is_forgotten(api: FakeApi, reconcile: Reconciler) -> None:
    assert await reconcile(ALPHA) == math.inf
    assert api.writes() == []


async def test_one_that_is_being_deleted_is_left_alone(api: FakeApi, reconcile: Reconciler) -> None:
    server = homeserver()
    server["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await api.put(server)

    assert await reconcile(ALPHA) == math.inf
    assert api.writes() == []


async def test_a_new_homeserver_gets_its_objects_and_then_no_more_writes(
    api: FakeApi, reconcile: Reconciler
) -> None:
    await api.put(homeserver())

    assert await settle(api, reconcile) <= 3

    assert api.of_kind("Secret")
    assert api.of_kind("Service")
    assert conditions(api)["Accepted"]["status"] == "True"


async def test_generated_secrets_come_first_and_are_made_once(
    api: FakeApi, reconcile: Reconciler
) -> None:
    await api.put(homeserver())
    await settle(api, reconcile)

    methods = [method for method, path in api.writes() if "/events" not in path]
    creations = methods.count("POST")
    assert creations >= 1
    assert methods[:creations] == ["POST"] * creations


async def test_a_rejected_spec_is_said_in_the_status_and_nothing_is_made(
    api: FakeApi, reconcile: Reconciler
) -> None:
    spec = {"serverName": "example.org", "config": {"listeners": []}}
    await api.put(homeserver(spec=spec))
    await settle(api, reconcile)

    assert conditions(api)["Accepted"]["status"] == "False"
    assert api.of_kind("Deployment") == []


async def test_somebody_elses_object_is_not_touched_and_nothing_is_written(
    api: FakeApi, reconcile: Reconciler
) -> None:
    await api.put(homeserver())
    await settle(api, reconcile)
    taken = min(each["metadata"]["name"] for each in api.of_kind("Service"))
    for kind in ("Service", "Deployment", "ConfigMap"):
        for each in api.of_kind(kind):
            await api.remove(kind, each["metadata"]["name"])
    theirs = await api.put(foreign("Service", taken))

    assert await reconcile(ALPHA) == STRANGERS_RECHECK

    assert api.find("Service", taken) == theirs
    assert api.of_kind("Deployment") == []
    assert conditions(api)["Accepted"]["reason"] == "NameConflict"


async def test_a_secrets_name_that_is_taken_at_the_last_moment_is_said(
    api: FakeApi, reconcile: Reconciler, eventually: Eventually
) -> None:
    await api.put(homeserver())
    api.fail("POST", "/secrets", 409, delay=0.3)
    running = asyncio.create_task(reconcile(ALPHA))
    await eventually(api.writes)
    taken = str(api.bodies[-1]["metadata"]["name"])
    theirs = await api.put(foreign("Secret", taken))

    assert await running == STRANGERS_RECHECK
    assert api.find("Secret", taken) == theirs
    assert api.of_kind("Deployment") == []
    assert taken in str(conditions(api))


async def test_a_refused_object_is_said_in_the_status_and_tried_again(
    api: FakeApi, reconcile: Reconciler
) -> None:
    await api.put(homeserver())
    api.fail("PATCH", "/serviceaccounts", 403, times=99, body={"message": "quota"})
    api.fail("PATCH", "/configmaps", 403, times=99, body={"message": "quota"})

    with pytest.raises(RefusedError, match="quota"):
        await reconcile(ALPHA)

    assert any("quota" in each["message"] for each in conditions(api).values())


async def test_a_write_at_which_the_api_server_fails_is_said_in_the_status_and_tried_again(
    api: FakeApi, reconcile: Reconciler
) -> None:
    """As with an admission webhook that is down."""
    await api.put(homeserver())
    api.fail("PATCH", "/services/", 500, times=99, body={"message": "failed calling webhook"})

    for _ in range(2):
        with pytest.raises(ApiError, match="failed calling webhook"):
            await reconcile(ALPHA)

        told = conditions(api)
        assert (told["Reconciling"]["status"], told["Stalled"]["status"]) == ("True", "False")
        assert told["Ready"]["message"].startswith("Service/alpha-")
        assert told["Ready"]["message"].endswith(": failed calling webhook")

    api.faults.clear()
    await settle(api, reconcile)
    assert not any("webhook" in each["message"] for each in conditions(api).values())


async def test_where_the_status_is_refused_it_says_so_and_all_else_goes_on(
    api: FakeApi, reconcile: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    """As with the CRD of another release: who looks after the processes must not stop for it."""
    await api.put(homeserver())
    await settle(api, reconcile)
    await edit(api, logLevel="WARNING")
    api.fail("PATCH", "/status", 422, body={"message": "status.plan: Too many"})

    before = api.of_kind("Deployment")
    await reconcile(ALPHA)

    assert api.of_kind("Deployment") != before
    told = conditions(api)
    assert told["Stalled"]["status"] == "True"
    assert "status.plan: Too many" in told["Ready"]["message"]
    assert "status.plan: Too many" in caplog.text
    server = api.find("HomeServer", "alpha")
    assert server is not None
    assert server["status"]["observedGeneration"] == server["metadata"]["generation"] == 2
    assert server["status"]["generatedSecrets"]
    kstatus.check(server)

    await settle(api, reconcile)
    assert conditions(api)["Stalled"]["status"] == "False"


async def test_where_no_status_at_all_is_taken_all_else_goes_on(
    api: FakeApi, reconcile: Reconciler
) -> None:
    await api.put(homeserver())
    api.fail("PATCH", "/status", 422, times=999)

    for _ in range(5):
        before = len(api.writes())
        await reconcile(ALPHA)

    assert api.of_kind("Deployment")
    assert all("/status" in path for _, path in api.writes()[before:])


async def test_what_a_webhook_changes_is_applied_no_more_than_once_by_each_operator(
    api: FakeApi, reconcile: Reconciler, metrics: Metrics
) -> None:
    await api.put(homeserver())
    await settle(api, reconcile)
    api.webhook = always_pull
    await edit(api, logLevel="WARNING")

    assert await reconcile(ALPHA) == REWRITES_RECHECK
    await settle(api, reconcile)

    assert conditions(api)["Ready"]["reason"] == "Progressing"
    told = conditions(api)["FieldsRewritten"]["message"]
    assert "Deployment alpha-main: spec.template.spec.containers[synapse].imagePullPolicy" in told

    successor = Reconciler(
        cluster=reconcile.cluster,
        states=reconcile.states,
        defaults=DEFAULTS,
        metrics=metrics,
        now=reconcile.now,
    )
    assert await successor(ALPHA) == REWRITES_RECHECK
    assert await settle(api, successor) == 1
    assert conditions(api)["Ready"]["reason"] == "Progressing"


def always_pull(applied: Any) -> None:
    if applied["kind"] == "Deployment":
        for container in applied["spec"]["template"]["spec"]["containers"]:
            container["imagePullPolicy"] = "Always"


async def edit(api: FakeApi, **spec: Any) -> None:
    live = api.find("HomeServer", "alpha")
    assert live is not None
    await api.put({**live, "spec": {**live["spec"], **spec}})


@pytest.mark.parametrize("status", [409, 429])
async def test_what_passes_with_the_next_look_is_not_said(
    api: FakeApi, reconcile: Reconciler, status: int
) -> None:
    await api.put(homeserver())
    api.fail("PATCH", "/services/", status, times=99, headers={"Retry-After": "0"})

    with pytest.raises(ApiError):
        await reconcile(ALPHA)

    assert conditions(api)["Ready"]["reason"] == "Applying"


async def test_drift_is_repaired(api: FakeApi, reconcile: Reconciler) -> None:
    await api.put(homeserver())
    await settle(api, reconcile)
    before = {each["metadata"]["name"]: each["spec"] for each in api.of_kind("Service")}
    for name in before:
        await api.remove("Service", name)
    await settle(api, reconcile)

    assert {each["metadata"]["name"]: each["spec"] for each in api.of_kind("Service")} == before


@pytest.mark.long
async def test_a_run_that_dies_after_any_request_ends_the_same(
    api: FakeApi, reconcile: Reconciler, metrics: Metrics
) -> None:
    """Killed before each write in turn, the operator's successor ends up at the same objects."""
    await api.put(homeserver())
    await settle(api, reconcile)
    wanted = {(o["kind"], o["metadata"]["name"]) for o in api.objects.values()} - {
        (o["kind"], o["metadata"]["name"]) for o in api.of_kind("Event")
    }
    writes = len(api.writes())
    # Every third write suffices here; all of them are for a long run.
    for allowed in range(0, writes, 3):
        left = allowed

        def budget() -> float:
            nonlocal left
            left -= 1
            if left < 0:
                raise LeadershipLostError("killed")
            return 30.0

        api.objects.clear()
        await api.put(homeserver())
        dying = Reconciler(
            cluster=reconcile.cluster.guarded(budget),
            states=reconcile.states,
            defaults=DEFAULTS,
            metrics=metrics,
            now=reconcile.now,
        )
        with pytest.raises(LeadershipLostError):
            await settle(api, dying)
        await settle(api, reconcile)
        made = {(o["kind"], o["metadata"]["name"]) for o in api.objects.values()} - {
            (o["kind"], o["metadata"]["name"]) for o in api.of_kind("Event")
        }

        # Immutable copies are named by content, and the content is random.
        assert {_unhashed(each) for each in made} == {_unhashed(each) for each in wanted}


def _unhashed(key: tuple[str, str]) -> tuple[str, str]:
    kind, name = key
    return kind, name.rsplit("-", 1)[0] if kind in {"Secret", "ConfigMap", "Pod"} else name


async def test_no_secret_value_reaches_status_events_config_maps_or_logs(
    api: FakeApi, reconcile: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await api.put(homeserver())
    await settle(api, reconcile)
    public = [o for o in api.objects.values() if o["kind"] != "Secret"]
    haystack = repr(public) + caplog.text
    for secret in api.of_kind("Secret"):
        for value in secret["data"].values():
            plain = base64.b64decode(value).decode().strip()
            assert plain not in haystack
            assert value not in haystack


async def test_the_metrics_say_whether_it_is_ready(
    api: FakeApi, reconcile: Reconciler, metrics: Metrics
) -> None:
    labels = {"namespace": NAMESPACE, "name": "alpha"}
    series = ("homeserver_operator_homeserver_ready", labels)
    await api.put(homeserver())
    await reconcile(ALPHA)

    assert metrics.registry.get_sample_value(*series) == 0

    await api.remove("HomeServer", "alpha")
    await reconcile(ALPHA)

    assert metrics.registry.get_sample_value(*series) is None


async def test_an_api_error_ends_the_run(api: FakeApi, reconcile: Reconciler) -> None:
    await api.put(homeserver())
    api.fail("GET", "/pods", 500, times=9)

    with pytest.raises(ApiError):
        await reconcile(ALPHA)
