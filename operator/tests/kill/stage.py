"""One namespace of a real control plane in which one HomeServer lives and operators die.

The controllers are Kubernetes' own; only the kubelet is played, and with it the fences.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from tests.core.fencing import is_ready
from tests.kill.kubelet import Kubelet
from tests.kill.mortal import Death, MortalTransport, OperatorDied, Write

from homeserver_operator.api import names
from homeserver_operator.api.kinds import BY_KIND, MANAGED_KINDS, REPLICA_SET
from homeserver_operator.api.world import Defaults, Key, Object
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.metrics import Metrics
from homeserver_operator.plan.rollout import is_warm
from homeserver_operator.reconcile import Reconciler
from homeserver_operator.resources import HOMESERVER, path_of
from homeserver_operator.states import States
from homeserver_operator.transport import Request, Transport

DEFAULTS = Defaults(
    image="synapse:1", postgres_image="postgres:1", redis_image="redis:1", router_image="router:1"
)
SETTLES = 120.0
"""Seconds that Kubernetes' controllers may take on a small, busy machine."""

LOOKS_EVERY = 0.25
"""Seconds between two looks at the controllers: looking is what keeps the API server busy."""

MOST_RECONCILES = 24


@dataclass
class Stage:
    """The namespace; `transport` is an administrator's, and immortal."""

    transport: Transport
    namespace: str
    name: str = "example"
    dangling: list[str] = field(default_factory=list)
    """What was mounted and not there, at any moment that was looked at."""
    overlaps: set[str] = field(default_factory=set)
    """Pods that ran beside each other and must not have."""
    deserted: set[str] = field(default_factory=set)
    """Services that led to somebody who listened, and later to nobody."""
    kubelet: Kubelet = field(init=False)
    _leading: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.kubelet = Kubelet(self.transport, self.namespace)

    @property
    def cluster(self) -> Cluster:
        """Reading, undisturbed."""
        return Cluster(self.transport)

    async def open(self) -> None:
        """Make the namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self._send("POST", "/api/v1/namespaces", body)

    async def close(self) -> None:
        """Have the namespace deleted: there are only so many addresses for Services."""
        await self._send("DELETE", f"/api/v1/namespaces/{self.namespace}", {})

    async def submit(self, spec: Mapping[str, Any]) -> None:
        """Create the HomeServer, or replace its spec."""
        live = await self.cluster.get(HOMESERVER, self.namespace, self.name)
        body: dict[str, Any] = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": self.name, "namespace": self.namespace},
        } | dict(live or {})
        body["spec"] = spec
        if live:
            path = path_of(HOMESERVER, self.namespace, self.name)
            await self._send("PUT", path, body)
        else:
            await self._send("POST", path_of(HOMESERVER, self.namespace), body)

    async def operate(self, death: Death | None = None) -> tuple[list[Write], bool]:
        """A new operator runs until there is nothing left to do, or until it dies.

        Returns its writes, and whether it died.
        """
        mortal = MortalTransport(self.transport, death)
        try:
            async with _reconciler(mortal) as reconcile:
                await self._converge(reconcile, mortal)
        except OperatorDied:
            await self._look_for_dangling()
            return mortal.writes, True
        return mortal.writes, False

    async def objects(self) -> list[Object]:
        """The HomeServer and all that is labelled as its."""
        server = await self.cluster.get(HOMESERVER, self.namespace, self.name)
        assert server is not None
        listed = await asyncio.gather(*(self._list(kind.kind) for kind in MANAGED_KINDS))
        return [server, *(item for items in listed for item in items)]

    async def _converge(self, reconcile: Reconciler, mortal: MortalTransport) -> None:
        key = Key(self.namespace, self.name)
        refused: ApiError | None = None
        for number in range(MOST_RECONCILES):
            before = len(mortal.writes)
            mortal.begin()
            try:
                await reconcile(key)
            except ApiError as error:
                # The queue would try again, too.
                refused = error
                continue
            await self._look_for_dangling()
            await self._settle()
            # The first may have found that it must wait for what has happened since.
            if number and len(mortal.writes) == before:
                return
        msg = f"{self.namespace}: it is never done: {[*map(str, mortal.writes)]}"
        raise AssertionError(msg) from refused

    async def _settle(self) -> None:
        """Let Kubernetes finish what the last writes began."""
        deadline = time.monotonic() + SETTLES
        while unfinished := await self._unfinished():
            assert time.monotonic() < deadline, f"{self.namespace}: {unfinished}"
            await asyncio.sleep(LOOKS_EVERY)

    async def _unfinished(self) -> str | None:
        """What the controllers and the kubelet still have to do, None if nothing."""
        deployments, sets, pods = await asyncio.gather(
            self._list("Deployment"), self._list(REPLICA_SET.kind), self._list("Pod")
        )
        self.overlaps |= set(self.kubelet.overlaps(pods))
        await self._look_for_deserted()
        busy = sorted(await self.kubelet.look(pods))
        busy += [_name(pod) for pod in pods if _leaving(pod) or not _owned(pod, sets)]
        busy += [_name(item) for item in sets if not _counted(item, pods)]
        busy += [_name(item) for item in sets if not _owned(item, deployments)]
        busy += [_name(item) for item in deployments if not self._quiet(item, sets, pods)]
        return f"not settled: {', '.join(busy)}" if busy else None

    def _quiet(self, deployment: Object, sets: Sequence[Object], pods: Sequence[Object]) -> bool:
        """Whether its controller has nothing to do: all is done, or all that is new waits."""
        own = [item for item in sets if _owned(item, [deployment])]
        if not _seen(deployment) or not _agrees(deployment, own):
            return False
        if _rolled_out(deployment):
            return True
        wanted = deployment["spec"]["replicas"]
        waiting = [pod for pod in pods if _owned(pod, own) and self.kubelet.waits(pod)]
        return bool(waiting) and deployment["status"].get("updatedReplicas", 0) == wanted

    async def _look_for_deserted(self) -> None:
        """Who has once been reached through a Service is never to get no answer from it."""
        services, pods = await self._list("Service"), await self._list("Pod")
        leading = {_name(item) for item in services if any(_answers(item, pod) for pod in pods)}
        self.deserted |= self._leading & {_name(item) for item in services} - leading
        self._leading |= leading

    async def _look_for_dangling(self) -> None:
        """A pod must never start without its configuration: whatever mounts comes last."""
        # What mounts is read first, or something new could be mounted in between.
        users = [*await self._list("Deployment"), *await self._list("Pod")]
        mounted = {mount for user in users if not _leaving(user) for mount in _mounts(user)}
        for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim"):
            there = {_name(item) for item in await self._list(kind)}
            wanted = {name for of_kind, name in mounted if of_kind == kind}
            self.dangling += sorted(f"{kind}/{name}" for name in wanted - there)

    async def _list(self, kind: str) -> Sequence[Object]:
        found = REPLICA_SET if kind == REPLICA_SET.kind else BY_KIND[kind]
        labels = f"{names.HOMESERVER_LABEL}={self.name}"
        return await self.cluster.list(found, self.namespace, labels=labels)

    async def _send(
        self, method: str, path: str, body: Object, content_type: str = "application/json"
    ) -> None:
        await self.transport.send(
            Request(method, path, method, "any", body=body, content_type=content_type)
        )


@asynccontextmanager
async def _reconciler(transport: MortalTransport) -> AsyncIterator[Reconciler]:
    async with States(time.monotonic) as states:
        yield Reconciler(
            cluster=Cluster(cast("Transport", transport)),
            states=states,
            defaults=DEFAULTS,
            metrics=Metrics(),
            now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _leaving(item: Object) -> bool:
    return "deletionTimestamp" in item["metadata"]


def _rolled_out(deployment: Object) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    counts = {status.get(f"{of}eplicas", 0) for of in ("r", "updatedR", "readyR", "availableR")}
    return counts == {wanted}


def _counted(replica_set: Object, pods: Sequence[Object]) -> bool:
    """Whether its controller has made the pods that are wanted, and knows how they are."""
    own = [pod for pod in pods if _owned(pod, [replica_set])]
    status = replica_set["status"]
    return (
        _seen(replica_set)
        and len(own) == status["replicas"] == replica_set["spec"]["replicas"]
        and status.get("readyReplicas", 0) == sum(map(is_ready, own))
    )


def _agrees(deployment: Object, sets: Sequence[Object]) -> bool:
    """Whether its controller has heard of what its ReplicaSets are."""
    return all(
        deployment.get("status", {}).get(count, 0)
        == sum(item["status"].get(count, 0) for item in sets)
        for count in ("replicas", "readyReplicas", "availableReplicas")
    )


def _answers(service: Object, pod: Object) -> bool:
    """Whether a Service leads to this pod, and it listens."""
    selector = service["spec"].get("selector") or {}
    to_all = service["spec"].get("publishNotReadyAddresses", False)
    listens = is_warm(pod) if to_all else is_ready(pod)
    return listens and bool(selector.items() <= pod["metadata"]["labels"].items())


def _seen(item: Object) -> bool:
    seen = item.get("status", {}).get("observedGeneration")
    return bool(seen == item["metadata"]["generation"])


def _owned(item: Object, owners: Sequence[Object]) -> bool:
    """Whether it belongs to one of these, which is to stay."""
    living = {owner["metadata"]["uid"] for owner in owners if not _leaving(owner)}
    references = item["metadata"].get("ownerReferences", ())
    return any(owner["uid"] in living for owner in references)


def _mounts(user: Object) -> list[tuple[str, str]]:
    spec = user["spec"]["template"]["spec"] if user["kind"] == "Deployment" else user["spec"]
    found = []
    for volume in spec.get("volumes", ()):
        match volume:
            case {"configMap": {"name": name}}:
                found.append(("ConfigMap", name))
            case {"secret": {"secretName": name}}:
                found.append(("Secret", name))
            case {"persistentVolumeClaim": {"claimName": name}}:
                found.append(("PersistentVolumeClaim", name))
    return found
