"""Field managers and defaults of a real API server.

Handing over replicas stands on them, and leaving alone what another operator has rendered.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.core import case
from tests.core.test_network_policies import CASE, gated
from tests.core.upgrades import installer
from tests.kill.mortal import MortalTransport

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE, CRD_NAME
from e2e.cluster.controlplane import ControlPlane
from homeserver_operator import apply, observe, pipeline
from homeserver_operator.api.actions import Plan
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import FIELD_MANAGER, SCALE_MANAGER, STOPPED_FROM_ANNOTATION
from homeserver_operator.api.world import Key
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.metrics import Metrics
from homeserver_operator.plan import handover
from homeserver_operator.plan.difference import first_difference
from homeserver_operator.plan.owned import owned_template
from homeserver_operator.reconcile import Reconciler
from homeserver_operator.states import States
from homeserver_operator.transport import Transport

pytestmark = pytest.mark.apiserver

OURS = {"replicas": 3}
LEFT_OUT: dict[str, Any] = {}
AUTOSCALED = {"autoscale": {"minReplicas": 2, "maxReplicas": 9, "cpuUtilization": 70}}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with ControlPlane() as running:
        client = Kubectl(running.kubectl, running.kubeconfig)
        client.run("apply", "--server-side", f"--filename={CRD_FILE}")
        client.wait_established(CRD_NAME)
        yield client


@dataclass
class Stage:
    """One HomeServer in a namespace of its own, and an operator that works when it is told to."""

    kubectl: Kubectl
    reconcile: Reconciler
    transport: MortalTransport
    namespace: str

    def submit(self, name: str, spec: dict[str, Any]) -> None:
        body = {**case.load("minimal").body, "spec": spec}
        body["metadata"] = {"name": name, "namespace": self.namespace}
        self.kubectl.run("apply", "--server-side", "--filename=-", text=json.dumps(body))

    def group(self, how: dict[str, Any]) -> None:
        """Give the HomeServer one group, whose number is decided in this way."""
        requests = {"resources": {"requests": {"cpu": "500m"}}}
        workers = [{"name": "sync", "serves": ["sync"], **requests, **how}]
        self.submit("elm", {"serverName": "elm.example", "workers": workers})

    def scale(self, replicas: int) -> None:
        """Use the scale subresource, as an autoscaler does."""
        self.kubectl.run(
            "scale", "deployment/elm-sync", f"--replicas={replicas}", f"-n={self.namespace}"
        )

    async def settle(self, name: str = "elm") -> None:
        """Reconcile until a run writes nothing."""
        for _ in range(6):
            before = len(self.transport.writes)
            await self.reconcile(Key(self.namespace, name))
            if len(self.transport.writes) == before:
                return
        pytest.fail(f"no end of writes: {[*map(str, self.transport.writes[before:])]}")

    async def planned(self) -> tuple[Any, Plan]:
        """What the operator would do, not yet done."""
        server = await observe.homeserver(self.reconcile.cluster, Key(self.namespace, "elm"))
        assert server is not None
        wanted = pipeline.references(server)
        world = await observe.world(self.reconcile.cluster, self.reconcile.states, server, wanted)
        return server, pipeline.decide(server, world, case.DEFAULTS, self.reconcile.now()).plan

    async def stop(self) -> None:
        """Write what ends the group's processes, as in a move to another database."""
        server, _ = await self.planned()
        plan = Plan(scales=(handover.scale(self._deployment(), 0, "stopped"),))
        await apply.execute(self.reconcile.cluster, server, plan)

    async def execute(self, count: int) -> None:
        """Do the first so many writes of the plan on the Deployment, and die."""
        server, plan = await self.planned()
        on_it = [step for step in plan.applies if step.key.kind == "Deployment"]
        assert len(on_it) >= count
        await apply.execute(self.reconcile.cluster, server, Plan(applies=tuple(on_it[:count])))

    @property
    def annotations(self) -> dict[str, str]:
        """Those of the Deployment."""
        found: dict[str, str] = self._deployment()["metadata"]["annotations"]
        return found

    @property
    def replicas(self) -> int:
        return int(self._deployment()["spec"]["replicas"])

    @property
    def owners(self) -> set[str]:
        fields = self._deployment("--show-managed-fields")["metadata"]["managedFields"]
        return {
            entry["manager"]
            for entry in fields
            if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        }

    @property
    def managers(self) -> set[str]:
        fields = self._deployment("--show-managed-fields")["metadata"]["managedFields"]
        return {entry["manager"] for entry in fields}

    @property
    def env(self) -> dict[str, str]:
        return {each["name"]: each.get("value", "") for each in self._container["env"]}

    @property
    def limits(self) -> Any:
        return self._container.get("resources", {}).get("limits", {})

    @property
    def _container(self) -> Any:
        return self._deployment()["spec"]["template"]["spec"]["containers"][0]

    def change(self, template: dict[str, Any]) -> None:
        """Somebody changes the pod template with kubectl."""
        self.kubectl.run(
            *("patch", "deployment/elm-sync", f"-n={self.namespace}"),
            "--field-manager=somebody",
            f"--patch={json.dumps({'spec': {'template': template}})}",
        )

    def condition(self, kind: str) -> str | None:
        """The message of a condition of the HomeServer, if it has it."""
        found = self.kubectl.get("homeserver", "elm", f"-n={self.namespace}")
        told = {each["type"]: each["message"] for each in found["status"]["conditions"]}
        return told.get(kind)

    def _deployment(self, *flags: str) -> Any:
        return self.kubectl.get("deployment", "elm-sync", f"-n={self.namespace}", *flags)


@pytest.fixture
async def stage(kubectl: Kubectl) -> AsyncIterator[Stage]:
    namespace = f"scaling-{time.time_ns()}"
    kubectl.run("create", "namespace", namespace)
    connection = await Transport.connect(str(kubectl.kubeconfig), Metrics())
    counted = MortalTransport(connection)
    async with States(time.monotonic) as states:
        reconciler = Reconciler(
            cluster=Cluster(cast("Transport", counted)),
            states=states,
            defaults=case.DEFAULTS,
            metrics=Metrics(),
            now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        )
        yield Stage(kubectl, reconciler, counted, namespace)
    await connection.close()


@pytest.mark.parametrize("after", [LEFT_OUT, AUTOSCALED], ids=["nobody", "an autoscaler"])
async def test_a_number_that_is_handed_over_stays_and_is_not_fought(
    stage: Stage, after: dict[str, Any]
) -> None:
    stage.group(OURS)
    await stage.settle()
    assert (stage.replicas, stage.owners) == (3, {FIELD_MANAGER})

    stage.group(after)
    await stage.settle()
    assert (stage.replicas, stage.owners) == (3, {SCALE_MANAGER})

    stage.scale(5)
    _, plan = await stage.planned()
    assert plan.empty
    stage.group({**after, "serves": ["sync", "login"], "logLevel": "DEBUG"})
    await stage.settle()
    assert stage.replicas == 5


@pytest.mark.parametrize("scaled", [False, True], ids=["nobody scales", "somebody scales"])
@pytest.mark.parametrize("written", [0, 1, 2])
async def test_an_operator_may_die_after_any_write_of_the_hand_over(
    stage: Stage, written: int, *, scaled: bool
) -> None:
    stage.group(OURS)
    await stage.settle()
    stage.group(AUTOSCALED)

    await stage.execute(written)
    assert stage.replicas == 3
    if scaled:
        stage.scale(7)
    await stage.settle()

    assert stage.replicas == (7 if scaled else 3)
    assert FIELD_MANAGER not in stage.owners


async def test_who_scales_before_the_first_write_wins(stage: Stage) -> None:
    stage.group(OURS)
    await stage.settle()
    stage.group(AUTOSCALED)
    server, plan = await stage.planned()
    stage.scale(7)

    with pytest.raises(ApiError) as caught:
        await apply.execute(stage.reconcile.cluster, server, plan)

    assert caught.value.status == 409
    assert stage.replicas == 7


@pytest.mark.parametrize("scaled", [False, True], ids=["nobody scaled", "somebody scaled"])
async def test_a_number_that_is_ours_again_is_ours_alone(stage: Stage, *, scaled: bool) -> None:
    stage.group(OURS)
    await stage.settle()
    stage.group(AUTOSCALED)
    await stage.settle()
    if scaled:
        stage.scale(7)

    stage.group(OURS)
    await stage.settle()

    assert (stage.replicas, stage.owners) == (3, {FIELD_MANAGER})
    stage.group(LEFT_OUT)
    await stage.settle()
    assert stage.replicas == 3


@pytest.mark.parametrize("scaled", [None, 4], ids=["nobody scaled", "somebody scaled"])
@pytest.mark.parametrize(
    "how",
    [[LEFT_OUT], [AUTOSCALED], [OURS, LEFT_OUT], [OURS]],
    ids=["nobody's", "an autoscaler's", "handed over", "ours"],
)
async def test_a_group_that_was_stopped_starts_again_with_as_many_as_it_had(
    stage: Stage, how: list[dict[str, Any]], scaled: int | None
) -> None:
    for each in how:
        stage.group(each)
        await stage.settle()
    if scaled and how != [OURS]:
        stage.scale(scaled)

    before = stage.replicas
    await stage.stop()
    assert (stage.replicas, stage.owners) == (0, {SCALE_MANAGER})
    await stage.settle()

    ours = how == [OURS]
    assert stage.replicas == (3 if ours else scaled or before)
    assert STOPPED_FROM_ANNOTATION not in stage.annotations
    assert stage.owners == {FIELD_MANAGER if ours else SCALE_MANAGER}


async def test_a_scale_leaves_no_owner_where_there_was_none_or_of_none_at_all(
    stage: Stage,
) -> None:
    """So nobody who reads the record can tell whose such a number is; our fakes do the same."""
    stage.group(LEFT_OUT)
    await stage.settle()
    stage.scale(4)
    assert (stage.replicas, stage.owners) == (4, set())

    stage.group(OURS)
    await stage.settle()
    stage.scale(5)
    assert (stage.replicas, stage.owners) == (5, {"kubectl"})
    stage.scale(0)
    assert (stage.replicas, stage.owners) == (0, set())


async def test_a_group_that_others_scale_to_none_sleeps(stage: Stage) -> None:
    stage.group(OURS)
    await stage.settle()
    stage.group(LEFT_OUT)
    await stage.settle()
    stage.scale(0)
    await stage.settle()
    assert stage.replicas == 0


async def test_a_group_of_none_is_handed_over_with_one(stage: Stage) -> None:
    """An autoscaler takes 0 for being switched off, and routes lead to the group by then."""
    stage.group({"replicas": 0})
    await stage.settle()

    stage.group(AUTOSCALED)
    await stage.settle()

    assert stage.replicas == 1


@pytest.mark.parametrize("name", ["autoscaling", "network-peers", "stream-writers"])
async def test_each_object_is_written_once(stage: Stage, name: str) -> None:
    """The API server's own defaults and words are no reason to write again."""
    stage.submit("elm", dict(case.load(name).body["spec"]))
    await stage.settle()

    written = Counter(str(write) for write in stage.transport.writes if _lasts(write.kind))
    kinds = {write.kind for write in stage.transport.writes}
    assert {"NetworkPolicy", "Deployment"} <= kinds
    assert ("HorizontalPodAutoscaler" in kinds) is (name == "autoscaling")
    assert {what for what, times in written.items() if times > 1} == set()


def _lasts(kind: str) -> bool:
    return kind not in {"Event", "HomeServer"}


@pytest.mark.parametrize("name", ["autoscaling", "stream-writers"])
async def test_after_an_upgrade_that_is_held_nothing_is_written(
    stage: Stage, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a template we own what we have applied, and nothing that others have added."""
    stage.submit("elm", dict(case.load(name).body["spec"]))
    await stage.settle()
    found = await stage.reconcile.cluster.list(BY_KIND["Deployment"], stage.namespace, labels="")
    for live in found:
        template, whole = owned_template(live), live["spec"]["template"]
        assert first_difference(template, whole) is None
        assert template["metadata"]["labels"] == whole["metadata"]["labels"]
        theirs = {"dnsPolicy", "restartPolicy", "schedulerName", "serviceAccount"}
        assert whole["spec"].keys() - template["spec"].keys() == theirs
        (ours,), (container,) = template["spec"]["containers"], whole["spec"]["containers"]
        assert container.keys() - ours.keys() <= {"resources", "terminationMessagePath"}
        for field in ("env", "ports", "volumeMounts"):
            assert len(ours.get(field, ())) == len(container.get(field, ())), field

    installer(monkeypatch)(SimpleNamespace(), 2)
    _server, plan = await stage.planned()
    assert plan.empty


async def test_what_others_add_to_a_pod_template_stays_and_is_told(stage: Stage) -> None:
    stage.group(OURS)
    await stage.settle()
    stage.change({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}})
    await stage.settle()
    assert stage.condition("ForeignFields") is None, "a restart is what it is for"

    container = {"name": "synapse", "env": [{"name": "THEIRS", "value": "1"}]}
    labels = {"their.example/label": "2"}
    stage.change({"metadata": {"labels": labels}, "spec": {"containers": [container]}})
    await stage.settle()

    told = str(stage.condition("ForeignFields"))
    assert "elm-sync: spec.containers[synapse].env[THEIRS] (by somebody)" in told
    assert "elm-sync: metadata.labels[their.example/label] (by somebody)" in told
    assert told.count("(by ") == 2, "neither what we have written, nor what the server adds"
    assert stage.env["THEIRS"] == "1"

    stage.change({"metadata": {"labels": dict.fromkeys(labels)},
                  "spec": {"containers": [{"name": "synapse", "env": [
                      {"name": "THEIRS", "$patch": "delete"}]}]}})  # fmt: skip
    await stage.settle()
    assert stage.condition("ForeignFields") is None


async def test_a_record_of_fields_that_was_wiped_is_made_again(stage: Stage) -> None:
    """Else the first writer of all would own beside us whatever we leave out later."""
    stage.group({**OURS, "resources": {"limits": {"memory": "2Gi"}}})
    await stage.settle()
    assert stage.limits == {"memory": "2Gi"}
    wipe = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    stage.kubectl.run(
        *("patch", "deployment/elm-sync", f"-n={stage.namespace}", "--type=json"),
        f"--patch={json.dumps(wipe)}",
    )
    await stage.settle()
    assert stage.managers == {FIELD_MANAGER}

    stage.group(OURS)
    await stage.settle()
    assert stage.limits == {}


async def test_a_policy_for_outgoing_connections_reads_back_as_it_was_written(
    stage: Stage,
) -> None:
    smtp = {"ports": [{"port": 587, "protocol": "TCP"}]}
    for policy in gated(CASE, egress=(smtp,)):
        moved = {**policy, "metadata": {**policy["metadata"], "namespace": stage.namespace}}
        kind = BY_KIND["NetworkPolicy"]
        live = await stage.reconcile.cluster.apply(kind, stage.namespace, moved)
        assert first_difference(moved, live) is None
