"""Whether PostgreSQL has connections enough for every pool at its fullest.

Counted is what may run at once: all processes, autoscaled groups at their maximum, and the pod more
that a rollout of a group that only serves starts before it stops one. A pool that finds no
connection fails requests, and it does so on the busiest day.
"""

from typing import Any, Final

from homeserver_operator.api.observed import is_synapse
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build.deployments import deployment_name
from homeserver_operator.status.conditions import CONNECTION_BUDGET_EXCEEDED, Condition
from homeserver_operator.topology import Process, Topology

RESERVED: Final = 3
"""PostgreSQL's default of superuser_reserved_connections: Synapse's role gets none of these."""


def connection_budget(server: HomeServer, topology: Topology, world: World) -> Condition | None:
    """The warning, if what the database lets in is known and too little."""
    limit = _max_connections(world)
    if limit is None:
        return None
    pool = server.postgres.max_connections
    pods = sum(_at_once(server, process, world) for process in topology.processes)
    needed = pods * pool + RESERVED
    if needed <= limit:
        return None
    return Condition(
        CONNECTION_BUDGET_EXCEEDED,
        True,
        "TooManyPools",
        f"{pods} pods may run at once (rollouts and autoscalers' maxima included) and open up to "
        f"{pool} connections each; with {RESERVED} reserved for administrators that is {needed}, "
        f"but PostgreSQL's max_connections was {limit} when a process last started (only the next "
        f"start of one shows another value): {_remedies(server, pods, limit, needed)}",
    )


def _remedies(server: HomeServer, pods: int, limit: int, needed: int) -> str:
    if isinstance(server.postgres.server, ExternalPostgres):
        remedies = [f"raise max_connections to at least {needed} and restart it"]
    else:
        remedies = [f"set spec.postgres.host to a PostgreSQL with max_connections {needed} or more"]
    if fitting := max(limit - RESERVED, 0) // pods:
        remedies.append(f"lower spec.postgres.connections.max to {fitting}")
    return ", ".join([*remedies, "or lower the number of processes"])


def _at_once(server: HomeServer, process: Process, world: World) -> int:
    """How many pods of a process may be there, with the one more of a rollout."""
    wanted = _wanted(server, process, world)
    return wanted if process.named or not wanted else wanted + 1


def _wanted(server: HomeServer, process: Process, world: World) -> int:
    if process.replicas is not None:
        return process.replicas
    for group in server.workers:
        if group.name == process.group and group.autoscale:
            return group.autoscale.max_replicas
    live = world.children.get(ObjectKey("Deployment", deployment_name(server, process)))
    return int(live["spec"].get("replicas", 1)) if live else 1


def _max_connections(world: World) -> int | None:
    """What the pod that started last was told: it alone may have seen a raised limit."""
    pods = filter(is_synapse, world.of_kind("Pod").values())
    for pod in sorted(pods, key=_started, reverse=True):
        state: Any = world.states.get(pod["metadata"]["name"], {}).get("database")
        limit = state.get("max_connections") if isinstance(state, dict) else None
        # Whatever listens in a pod may answer anything.
        if isinstance(limit, int) and limit > 0:
            return limit
    return None


def _started(pod: Object) -> tuple[str, str]:
    """When its container started last, as RFC 3339 in UTC."""
    running = (
        container.get("state", {}).get("running", {}).get("startedAt", "")
        for container in pod.get("status", {}).get("containerStatuses", ())
    )
    return max(running, default=""), pod["metadata"]["name"]
