"""What keeps a group going while nodes are drained or fail: budgets for evictions, and spread.

Singletons get neither. A budget that forbade their eviction would block every drain of their node,
and one that allowed it would say nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from homeserver_operator.api.names import HOMESERVER_LABEL, WORKER_GROUP_LABEL
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_meta
from homeserver_operator.topology import Process, Topology


def build_budgets(server: HomeServer, topology: Topology) -> Iterator[dict[str, Any]]:
    """One PodDisruptionBudget for each group that has several processes, or may have.

    At most one is missing at a time, so a budget never blocks a drain, not even of the only pod of
    a group that was scaled down. The members of a sharded group share theirs, each a Deployment of
    its own: while one is on its way to another node, the shards of the others are served.
    """
    for group in dict.fromkeys(process.group for process in topology.workers):
        if _several(topology.of_group(group)):
            yield _budget(server, group)


def default_spread(
    server: HomeServer, topology: Topology, process: Process
) -> tuple[Mapping[str, Any], ...]:
    """Where a process's pods go by default: to nodes without others of the group, if there are.

    A group that only serves has it whatever its number, because scaling must restart nobody, and so
    have media repositories. That of a sharded group comes with its second member, whose name
    restarts the first in any case.
    """
    sharded = process.named and (process.is_main or not process.media_repository)
    if sharded and not _several(topology.of_group(process.group)):
        return ()
    return (
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": _of_group(server, process.group)},
        },
    )


def _several(members: tuple[Process, ...]) -> bool:
    # Whoever scales may go beyond one at any time.
    return sum(2 if process.replicas is None else process.replicas for process in members) > 1


def _budget(server: HomeServer, group: str) -> dict[str, Any]:
    name = f"{server.key.name}-{group}"
    labels = {WORKER_GROUP_LABEL: group}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": object_meta(server, name, component="worker", labels=labels),
        "spec": {
            "maxUnavailable": 1,
            # A pod that is not ready serves nobody: it must not keep a node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": _of_group(server, group)},
        },
    }


def _of_group(server: HomeServer, group: str) -> dict[str, str]:
    return {HOMESERVER_LABEL: server.key.name, WORKER_GROUP_LABEL: group}
