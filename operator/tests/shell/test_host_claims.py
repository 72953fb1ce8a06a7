"""Several homeservers and one host, through the driver: what each learns of the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.shell.conftest import Eventually
from tests.shell.fake_api import FakeApi
from tests.shell.objects import homeserver
from tests.shell.test_homeserver_watch import DiscoverableApi
from tests.shell.test_reconcile import DEFAULTS, settle

from e2e.cluster.ports import free_port
from homeserver_operator import config
from homeserver_operator.api import names
from homeserver_operator.api.world import Key
from homeserver_operator.cluster import Cluster
from homeserver_operator.host_claims import HostClaims
from homeserver_operator.metrics import Metrics
from homeserver_operator.operate import operate
from homeserver_operator.reconcile import Reconciler
from homeserver_operator.states import States

HOST = "matrix.example.org"
FIRST, SECOND = Key("a", "first"), Key("b", "second")


@pytest.fixture
async def api() -> AsyncIterator[DiscoverableApi]:
    server = DiscoverableApi()
    async with server:
        yield server


@pytest.fixture
async def states() -> AsyncIterator[States]:
    async with States(lambda: 0.0, port=9) as asked:
        yield asked


class Process:
    """What one operator knows, and whom its claims woke."""

    def __init__(self, cluster: Cluster, states: States, metrics: Metrics) -> None:
        self.woken: list[Key] = []
        self.claims = HostClaims(self.woken.append)
        self.reconcile = Reconciler(
            cluster=cluster,
            states=states,
            defaults=DEFAULTS,
            metrics=metrics,
            now=lambda: "2026-01-01T00:00:00Z",
            host_claims=self.claims,
        )


@pytest.fixture
def process(cluster: Cluster, states: States, metrics: Metrics) -> Process:
    return Process(cluster, states, metrics)


@pytest.fixture
def successor(cluster: Cluster, states: States, metrics: Metrics) -> Process:
    """Another process, which has seen nothing yet."""
    return Process(cluster, states, metrics)


async def put(api: FakeApi, key: Key, host: str = HOST, **more: Any) -> None:
    metadata = {"namespace": key.namespace, "name": key.name, **more}
    spec = {"serverName": f"{key.name}.example.org", "ingress": {"host": host}}
    await api.put(homeserver(metadata=metadata, spec=spec, **kept(api, key)))


def kept(api: FakeApi, key: Key) -> dict[str, Any]:
    found = api.find("HomeServer", key.name)
    return {"status": found["status"]} if found and "status" in found else {}


async def edit(api: FakeApi, key: Key, **spec: Any) -> None:
    found = api.find("HomeServer", key.name)
    assert found is not None
    await api.put({**found, "spec": {**found["spec"], **spec}})


def observed(api: FakeApi, key: Key) -> bool:
    """Whether the status speaks of the present spec."""
    found = api.find("HomeServer", key.name)
    assert found is not None
    return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


def accepted(api: FakeApi, key: Key) -> str:
    found = api.find("HomeServer", key.name)
    conditions = found.get("status", {}).get("conditions", ()) if found else ()
    return next((each["reason"] for each in conditions if each["type"] == "Accepted"), "")


def hosts(api: FakeApi, key: Key) -> set[str]:
    """Hosts that lead to a homeserver."""
    found = [each for each in api.of_kind("Ingress") if each["metadata"]["namespace"] == key[0]]
    return {rule["host"] for each in found for rule in each["spec"]["rules"]}


async def both(api: FakeApi, process: Process) -> None:
    """The first has the host, the second has been refused it."""
    for key in (FIRST, SECOND):
        await put(api, key)
        await settle(api, process.reconcile, key)
    process.woken.clear()


async def test_the_second_to_ask_for_a_host_is_refused_and_the_first_left_alone(
    api: FakeApi, process: Process
) -> None:
    await both(api, process)

    assert (accepted(api, FIRST), accepted(api, SECOND)) == ("Accepted", "HostTaken")
    assert (hosts(api, FIRST), hosts(api, SECOND)) == ({HOST}, set())
    before = len(api.writes())
    await process.reconcile(FIRST)
    assert len(api.writes()) == before


@pytest.mark.long
async def test_a_deletion_wakes_who_waits_for_the_host(api: FakeApi, process: Process) -> None:
    await both(api, process)
    await api.remove("HomeServer", FIRST.name)
    await process.reconcile(FIRST)

    assert process.woken == [SECOND]
    await settle(api, process.reconcile, SECOND)
    assert accepted(api, SECOND) == "Accepted"
    assert hosts(api, SECOND) == {HOST}


async def test_an_edit_wakes_who_waits_for_the_host_and_gives_it_once_nothing_leads_there(
    api: FakeApi, process: Process
) -> None:
    await both(api, process)
    await put(api, FIRST, "other.example.org")
    await process.reconcile(FIRST)
    # Decided before the objects were written: it may still be led to by both.
    await process.reconcile(SECOND)
    assert accepted(api, SECOND) == "HostTaken"
    process.woken.clear()

    await process.reconcile(FIRST)
    assert process.woken == [SECOND]
    await settle(api, process.reconcile, SECOND)
    assert (hosts(api, FIRST), hosts(api, SECOND)) == ({"other.example.org"}, {HOST})


async def test_an_edit_to_the_host_of_a_younger_one_is_refused(
    api: FakeApi, process: Process
) -> None:
    """Who serves goes on, and the one whose spec was edited is told."""
    await put(api, FIRST, "old.example.org", creationTimestamp="2025-01-01T00:00:00Z")
    await put(api, SECOND, creationTimestamp="2026-01-01T00:00:00Z")
    for key in (FIRST, SECOND):
        await settle(api, process.reconcile, key)
    await put(api, FIRST, creationTimestamp="2025-01-01T00:00:00Z")
    await settle(api, process.reconcile, FIRST)
    await settle(api, process.reconcile, SECOND)

    assert (accepted(api, FIRST), accepted(api, SECOND)) == ("HostTaken", "Accepted")
    assert (hosts(api, FIRST), hosts(api, SECOND)) == ({"old.example.org"}, {HOST})


async def test_of_two_that_are_reconciled_at_the_same_time_one_gets_the_host(
    api: FakeApi, process: Process
) -> None:
    for key in (FIRST, SECOND):
        await put(api, key)
    await asyncio.gather(*(process.reconcile(key) for key in (FIRST, SECOND)))

    assert {accepted(api, key) for key in (FIRST, SECOND)} == {"Accepted", "HostTaken"}
    assert len(hosts(api, FIRST)) + len(hosts(api, SECOND)) == 1


@pytest.mark.long
@pytest.mark.parametrize("namespaces", [("a", "b"), ()], ids=["some namespaces", "all namespaces"])
@pytest.mark.parametrize(
    ("spec", "seen"),
    [
        pytest.param({"logLevel": "WARNING"}, False, id="an edit that nobody has looked at yet"),
        pytest.param(
            {"ingress": {"host": "taken.example.org"}}, False, id="a new host, not looked at yet"
        ),
        pytest.param({"config": {"listeners": []}}, True, id="a spec that is refused"),
        pytest.param({"ingress": {"host": "taken.example.org"}}, True, id="another's host"),
    ],
)
async def test_a_successor_gives_nobody_a_host_that_is_anothers_whomever_it_looks_at_first(
    api: FakeApi,
    process: Process,
    successor: Process,
    cluster: Cluster,
    *,
    spec: dict[str, Any],
    seen: bool,
    namespaces: tuple[str, ...],
) -> None:
    """What the first one has is to be seen without its reconcile, whatever is wrong with it."""
    await both(api, process)
    third = Key("a", "third")
    await put(api, third, "taken.example.org")
    await settle(api, process.reconcile, third)
    await edit(api, FIRST, **spec)
    if seen:
        await settle(api, process.reconcile, FIRST)
        assert accepted(api, FIRST) in {"InvalidSpec", "HostTaken"}

    await successor.claims.learn(cluster, namespaces)
    await settle(api, successor.reconcile, SECOND)

    assert accepted(api, SECOND) == "HostTaken"
    assert hosts(api, SECOND) == set()
    assert successor.woken == []


async def test_two_that_have_one_host_keep_it_and_their_objects_and_the_later_is_told(
    api: FakeApi, process: Process, successor: Process, cluster: Cluster
) -> None:
    """As after an operator that did not look: here each was reconciled by one of its own."""
    await put(api, FIRST)
    await put(api, SECOND)
    await settle(api, process.reconcile, FIRST)
    alone = Process(cluster, process.reconcile.states, Metrics())
    await settle(api, alone.reconcile, SECOND)
    before = api.of_kind("Ingress"), api.of_kind("Deployment")

    await successor.claims.learn(cluster, ())
    for key in (SECOND, FIRST):
        await settle(api, successor.reconcile, key)

    assert (api.of_kind("Ingress"), api.of_kind("Deployment")) == before
    shared = {
        key: [each["type"] for each in found["status"]["conditions"] if "Shared" in each["type"]]
        for key in (FIRST, SECOND)
        if (found := api.find("HomeServer", key.name))
    }
    assert shared == {FIRST: [], SECOND: ["HostShared"]}


async def test_a_lost_namespace_and_what_is_no_homeserver_hide_nothing_of_the_others(
    api: FakeApi, process: Process, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    await both(api, process)
    await api.put(homeserver(metadata={"namespace": "a", "name": "bad"}, spec={}))
    api.fail("GET", f"/namespaces/lost/{names.PLURAL}", 403)
    successor = HostClaims()
    await successor.learn(cluster, ("lost", "a", "b"))

    assert [claim.key for claim in successor.of_others(SECOND, {HOST})] == [FIRST]
    assert "whose the hosts in lost are is not known" in caplog.text


async def test_of_whom_nothing_more_can_be_read_the_spec_counts_and_the_next_is_read(
    api: FakeApi, process: Process, cluster: Cluster
) -> None:
    await both(api, process)
    for key in (FIRST, SECOND):
        found = api.find("HomeServer", key.name)
        assert found
        found["status"]["conditions"] = []
    api.fail("GET", "/ingresses", 403)
    successor = HostClaims()
    await successor.learn(cluster, ())

    assert [claim.key for claim in successor.of_others(SECOND, {HOST})] == [FIRST]
    assert [claim.key for claim in successor.of_others(FIRST, {HOST})] == [SECOND]


async def test_one_that_is_being_deleted_has_no_host_any_more(
    api: FakeApi, process: Process, cluster: Cluster
) -> None:
    await put(api, FIRST, deletionTimestamp="2026-01-01T00:00:00Z")
    await process.claims.learn(cluster, ())

    assert process.claims.of_others(SECOND, {HOST}) == ()


@asynccontextmanager
async def operator(api: DiscoverableApi, directory: Path) -> AsyncIterator[None]:
    """The whole operator, until the end."""
    kubeconfig = directory / "kubeconfig"
    cluster, context = {"server": api.url}, {"cluster": "c", "user": "u"}
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": context}],
                "current-context": "x",
            }
        )
    )
    images = {f"{each}_IMAGE": "x" for each in ("SYNAPSE", "POSTGRES", "REDIS", "ROUTER")}
    settings = {"KUBECONFIG": str(kubeconfig), "HTTP_PORT": str(free_port()), **images}
    stop = asyncio.Event()
    scope = {"POD_NAMESPACE": "a", "WATCH_NAMESPACES": "a,b"}
    running = asyncio.create_task(operate(config.parse(settings | scope), stop))
    try:
        yield
        assert not running.done()
    finally:
        stop.set()
        await running


@pytest.mark.long
async def test_a_host_stays_whose_it_is_beyond_the_operator_and_is_given_on_when_it_is_free(
    api: DiscoverableApi, eventually: Eventually, tmp_path: Path
) -> None:
    """The parts together, as the operator has them."""
    annotations = {names.CRD_REVISION_ANNOTATION: str(names.CRD_REVISION)}
    crd = {"name": f"{names.PLURAL}.{names.GROUP}", "annotations": annotations}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    await api.put({**kind, "metadata": crd})
    async with operator(api, tmp_path):
        await put(api, FIRST)
        await eventually(lambda: hosts(api, FIRST) == {HOST})
        await put(api, SECOND)
        await eventually(lambda: accepted(api, SECOND) == "HostTaken")

    await edit(api, SECOND, logLevel="WARNING")
    # The first one is not to be seen before the second.
    api.fail("GET", f"/{names.PLURAL}/{FIRST.name}", 500, times=1000)
    async with operator(api, tmp_path):
        await eventually(lambda: observed(api, SECOND))
        assert accepted(api, SECOND) == "HostTaken"

        api.faults.clear()
        await api.remove("HomeServer", FIRST.name)
        await eventually(lambda: accepted(api, SECOND) == "Accepted")
        await eventually(lambda: hosts(api, SECOND) == {HOST})
