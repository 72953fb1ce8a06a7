"""Rules over worker groups that the CRD's own rules repeat or cannot say.

Those that the CRD says too are here for `plan` without an API server, and as a second line behind
an older CRD. Each problem names the field and the remedy.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from homeserver_operator.api.groups import WorkerGroup
from homeserver_operator.api.roles import SINGLE_RUNNER, SINGLE_WRITER, SSO
from homeserver_operator.api.spec import HomeServer

_LIKE_A_MEMBER: Final = re.compile(r"-[0-9]+$")

RESERVED: Final = ("main", "master", "redis", "postgres", "router", "preflight")


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `spec.workers` (one sentence each)."""
    for name, count in Counter(group.name for group in server.workers).items():
        if count > 1:
            yield f"spec.workers: {count} groups are called {name}: give each a name of its own"
    for group in server.workers:
        yield from _group(group)
        yield from _autoscaling(group)
    for stream in SINGLE_WRITER:
        yield from _single(server, "writes", stream)
    for duty in SINGLE_RUNNER:
        yield from _single(server, "runs", duty)
    yield from _single(server, "serves", SSO)
    if server.authentication:
        for group in server.workers:
            if SSO in group.serves:
                yield (
                    f"spec.workers[{group.name}].serves: Synapse has no {SSO} where "
                    f"spec.matrixAuthenticationService does the logins: remove {SSO}"
                )


def _group(group: WorkerGroup) -> Iterator[str]:
    path = f"spec.workers[{group.name}]"
    if group.name in RESERVED:
        yield f"{path}.name: {group.name} is the name of another part: choose another"
    if _LIKE_A_MEMBER.search(group.name):
        yield (
            f"spec.workers[{group.name}].name: ends as the names of a group's members do: "
            "choose a name without '-' and digits at its end"
        )
    if not (group.serves or group.writes or group.runs):
        yield f"{path} claims nothing: set serves, writes or runs, or remove the group"


def _autoscaling(group: WorkerGroup) -> Iterator[str]:
    path, autoscale = f"spec.workers[{group.name}]", group.autoscale
    if autoscale is None:
        return
    if group.replicas is not None:
        yield f"{path}: replicas and autoscale both decide the number: remove one of the two"
    if group.writes or group.runs or SSO in group.serves:
        yield (
            f"{path}.autoscale is only for groups that only serve, and not {SSO}, because each "
            "change of the number of writers or holders of a duty restarts processes: set "
            "replicas, or move these to a group of their own"
        )
    if autoscale.min_replicas > autoscale.max_replicas:
        yield (
            f"{path}.autoscale.minReplicas is {autoscale.min_replicas}, more than maxReplicas, "
            f"{autoscale.max_replicas}: set both"
        )
    targets = {"cpu": autoscale.cpu_utilization, "memory": autoscale.memory_utilization}
    if not (autoscale.metrics or any(targets.values())):
        yield (
            f"{path}.autoscale needs something to go by: set cpuUtilization, memoryUtilization or "
            "metrics"
        )
    asked = group.options.scheduling.resources
    for resource, percent in targets.items():
        # Kubernetes takes a limit for a request that is left out.
        if percent and not any(resource in asked.get(part, {}) for part in ("requests", "limits")):
            yield (
                f"{path}.resources.requests.{resource} is needed with "
                f"autoscale.{resource}Utilization, which is a percentage of it: set it to what a "
                "process usually needs"
            )


def _single(server: HomeServer, field: str, value: str) -> Iterator[str]:
    groups = [group for group in server.workers if value in getattr(group, field)]
    if len(groups) > 1:
        names = ", ".join(sorted(group.name for group in groups))
        yield f"spec.workers: {names} all have {value} in {field}, but only one process can"
    for group in groups:
        if at_most(group) > 1:
            number = "autoscale.maxReplicas" if group.autoscale else "replicas"
            yield (
                f"spec.workers[{group.name}].{number} is {at_most(group)}, but only one process "
                f"can have {value} in {field}: set 1, or move {value} to a group of its own"
            )


def at_most(group: WorkerGroup) -> int:
    """How many processes a group has, or may come to have without an edit of the resource."""
    if group.autoscale:
        return group.autoscale.max_replicas
    return 1 if group.replicas is None else group.replicas
