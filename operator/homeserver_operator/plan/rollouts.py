"""All Synapse processes of a homeserver, put together from what is wanted and what lives."""

from collections.abc import Iterable, Iterator, Mapping

from homeserver_operator.api.names import PROCESS_LABEL, REVISION_LABEL, TEMPLATE_HASH_LABEL
from homeserver_operator.api.observed import controller_of, is_ready, is_synapse
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, World
from homeserver_operator.plan.rollout import Rollout


def live_deployments(server: HomeServer, world: World) -> dict[str, Object]:
    """Our Deployments of Synapse processes, by process."""
    return {
        deployment["metadata"]["labels"].get(PROCESS_LABEL, name): deployment
        for name, deployment in sorted(world.of_kind("Deployment").items())
        if is_synapse(deployment) and controller_of(deployment) == server.uid
    }


def find_rollouts(
    server: HomeServer, synapse: Mapping[str, Object], world: World
) -> dict[str, Rollout]:
    """By process: those that are wanted, in their order, then those that are to go."""
    live = live_deployments(server, world)
    pods: dict[str | None, list[Object]] = {}
    for pod in world.of_kind("Pod").values():
        pods.setdefault(pod["metadata"].get("labels", {}).get(PROCESS_LABEL), []).append(pod)
    sets: dict[str | None, list[Object]] = {}
    for replica_set in world.replica_sets:
        sets.setdefault(controller_of(replica_set), []).append(replica_set)
    return {
        process: _rollout(
            process, synapse.get(process), live.get(process), sets, pods.get(process, [])
        )
        for process in dict.fromkeys((*synapse, *live))
    }


def _rollout(
    process: str,
    wanted: Object | None,
    live: Object | None,
    sets_of: Mapping[str | None, list[Object]],
    its_pods: Iterable[Object],
) -> Rollout:
    """`sets_of` gives ReplicaSets by the uid of their Deployment."""
    if live is None:
        return Rollout(process, wanted, None, None, (), ())
    sets = sets_of.get(live["metadata"]["uid"], [])
    template = _template(live)
    same = [rs for rs in sets if _template(rs) == template]
    # Of several, the controller takes the oldest.
    current = min(same, key=lambda rs: rs["metadata"].get("creationTimestamp", ""), default=None)
    old = tuple(rs for rs in sets if rs is not current and rs["spec"].get("replicas"))
    ending = {rs["metadata"]["uid"] for rs in sets if not rs["spec"].get("replicas")}
    leaving = tuple(
        pod
        for pod in its_pods
        if "deletionTimestamp" in pod["metadata"] or controller_of(pod) in ending
    )
    pods = tuple(
        pod
        for pod in its_pods
        if current
        and controller_of(pod) == current["metadata"]["uid"]
        and "deletionTimestamp" not in pod["metadata"]
    )
    serving = frozenset(
        pod["metadata"].get("labels", {}).get(REVISION_LABEL)
        for pod in its_pods
        if is_ready(pod) and pod not in leaving
    )
    return Rollout(process, wanted, live, current, old, pods, leaving, serving)


def synapse_pods(world: World) -> Iterator[Object]:
    """Pods of Synapse processes that have not ended, also those that are just ending."""
    for pod in world.of_kind("Pod").values():
        if is_synapse(pod) and pod.get("status", {}).get("phase") not in _ENDED:
            yield pod


_ENDED = frozenset({"Succeeded", "Failed"})


def _template(workload: Object) -> Object:
    """The pod template as the Deployment controller compares it."""
    template = workload["spec"]["template"]
    metadata = template.get("metadata", {})
    labels = {
        name: value
        for name, value in metadata.get("labels", {}).items()
        if name != TEMPLATE_HASH_LABEL
    }
    return {"metadata": {**metadata, "labels": labels}, "spec": template["spec"]}
