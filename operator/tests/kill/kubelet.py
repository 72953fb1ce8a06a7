"""The kubelet and the launchers of one namespace, played: pods warm up at once and enter in turn.

A pod turns ready when it may pass its fences; until then it listens, as a surge pod does. Nothing
enters behind this kubelet's back, because it is the only one. A pod without a node is gone as soon
as it is deleted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from tests.core.fencing import conflict, is_ready, record, superseding

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.cluster import ApiError
from homeserver_operator.fences import Mark
from homeserver_operator.plan.rollout import is_warm
from homeserver_operator.resources import path_of
from homeserver_operator.transport import Request, Transport


@dataclass
class Kubelet:
    """`recorded` is the database's word: the highest epoch of each fence that was ever entered."""

    transport: Transport
    namespace: str
    recorded: dict[str, Mark] = field(default_factory=dict)
    _maps: dict[ObjectKey, Object] = field(default_factory=dict)

    async def look(self, pods: Iterable[Object]) -> set[str]:
        """Warm up and let in who may; return the names of those for whom something was done."""
        pods = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        await self._read_maps(pods)
        done = set()
        running = [pod for pod in pods if is_ready(pod)]
        for pod in pods:
            enters = not is_ready(pod) and self._may_enter(pod, running)
            if not enters and is_warm(pod):
                continue
            done.add(pod["metadata"]["name"])
            if await self._tell(pod, ready=enters) and enters:
                running.append(pod)
                record(pod, self.recorded)
        return done

    def waits(self, pod: Object) -> bool:
        """Whether a pod that was listed is warm and not let in."""
        return is_warm(pod) and not is_ready(pod)

    def overlaps(self, pods: Iterable[Object]) -> list[str]:
        """Pods that run beside each other and must not."""
        running = filter(is_ready, pods)
        return [
            f"{one['metadata']['name']} beside {other['metadata']['name']}"
            for one, other in combinations(running, 2)
            if conflict(one, other, self._maps)
        ]

    def _may_enter(self, pod: Object, running: Iterable[Object]) -> bool:
        if superseding(pod, self.recorded):
            return False
        return not any(conflict(pod, other, self._maps) for other in running)

    async def _read_maps(self, pods: Iterable[Object]) -> None:
        """ConfigMaps are immutable, so each is read once."""
        mounted = {
            ObjectKey("ConfigMap", volume["configMap"]["name"])
            for pod in pods
            for volume in pod["spec"].get("volumes", ())
            if "configMap" in volume
        }
        for key in mounted - self._maps.keys():
            path = path_of(BY_KIND["ConfigMap"], self.namespace, key.name)
            self._maps[key] = await self._send("GET", path)

    async def _tell(self, pod: Object, *, ready: bool) -> bool:
        """Write the pod's status; False if it is gone."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        states = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "restartCount": 0,
                "started": True,
                "ready": ready,
                "state": {"running": {"startedAt": now}},
            }
            for container in pod["spec"]["containers"]
        ]
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": now}
        status = {"phase": "Running", "conditions": [condition], "containerStatuses": states}
        path = path_of(BY_KIND["Pod"], self.namespace, pod["metadata"]["name"], "status")
        # With the uid: a pod that was deleted is not another of its name.
        metadata = {"uid": pod["metadata"]["uid"]}
        try:
            await self._send("PATCH", path, {"metadata": metadata, "status": status})
        except ApiError as error:
            if error.status not in {404, 409}:
                raise
            return False
        return True

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        form = "application/merge-patch+json" if body else "application/json"
        return await self.transport.send(
            Request(method, path, method, "any", body=body, content_type=form)
        )
