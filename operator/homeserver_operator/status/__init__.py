"""From the plan and what was observed to the status that people and tools read.

`Ready` is derived, never set by hand. Words come unchanged from where the decision was made. Pure:
the time is an argument.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from homeserver_operator.api.actions import Event
from homeserver_operator.api.names import ROLE_LABEL
from homeserver_operator.api.observed import has_ready
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.routes.reduction import Reduction
from homeserver_operator.status.bounds import within_bounds
from homeserver_operator.status.conditions import (
    ACCEPTED,
    AVAILABLE,
    EVALUATION_DATABASE,
    HOST_SHARED,
    PAUSED,
    READY,
    RECONCILING,
    ROUTING_REDUCED,
    STALLED,
    Condition,
    to_status,
)
from homeserver_operator.status.connections import connection_budget
from homeserver_operator.status.foreign import foreign_fields, rewritten_fields
from homeserver_operator.status.obstacles import (
    APPLY_FAILED,
    WRITE_FAILED,
    Failure,
    Findings,
    Obstacle,
    find_obstacle,
)
from homeserver_operator.status.release import release_status, up_to_date
from homeserver_operator.status.restarts import restarts_status, shard_maps_differ
from homeserver_operator.status.workloads import Progress, progress
from homeserver_operator.validate.sources import sources_of

__all__ = [
    "APPLY_FAILED",
    "WRITE_FAILED",
    "Failure",
    "Findings",
    "make_status",
    "refused_status",
    "transitions",
]

_STATUS_REFUSED: Final = "StatusRefused"


def make_status(
    server: HomeServer, findings: Findings, world: World, live_status: Object, now: str
) -> dict[str, Any]:
    """The whole status."""
    return dict(within_bounds(_status(server, findings, world, live_status, now)))


def _status(
    server: HomeServer, findings: Findings, world: World, live_status: Object, now: str
) -> dict[str, Any]:
    synapse = progress(findings.manifests.synapse, world) if findings.manifests else ()
    everything = synapse + _beside_synapse(findings, world)
    obstacle = find_obstacle(server, findings, world, everything)
    generation = server.generation
    conditions = _conditions(server, findings, world, everything, obstacle)
    workers = [item for item in synapse if item.process != "main"]
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": to_status(
            conditions, live_status.get("conditions", ()), generation=generation, now=now
        ),
    }
    if not findings.manifests:
        # What runs was left alone, and so is what was said of it.
        kept = (
            *("image", "version", "workers", "groups", "generatedSecrets", "serverName"),
            *("plan", "epochs", "processes", "lastSwitch", "release"),
        )
        return status | {name: live_status[name] for name in kept if name in live_status}
    status |= {
        "serverName": server.server_name,
        "image": findings.manifests.images.synapse,
        "workers": f"{sum(min(item.ready, item.desired) for item in workers)}"
        f"/{sum(item.desired for item in workers)}",
        "groups": _groups(synapse),
        "generatedSecrets": sorted(_generated(server) - {key.name for key in findings.strangers}),
        "epochs": {fence: mark.epoch for fence, mark in findings.manifests.fences.marks.items()},
    }
    if findings.release:
        status |= release_status(findings.release)
    if findings.outlook:
        status |= restarts_status(
            findings.outlook.restarts, live_status, world, ready=obstacle is None, now=now
        )
    if version := _version(world) or live_status.get("version"):
        status["version"] = version
    return status


def refused_status(
    refused: Mapping[str, Any], live_status: Object, message: str, now: str
) -> dict[str, Any]:
    """What was said before, and that the API server refuses what should be said now.

    Which Secrets were generated must be known all the same.
    """
    text = (
        f"the API server refuses this status, and what is told beside the conditions is old: "
        f"{message}. Everything else goes on. See that the CRD is of the operator's release"
    )
    generation = refused["observedGeneration"]
    mine = (
        Condition(READY, False, _STATUS_REFUSED, text),
        Condition(RECONCILING, False, _STATUS_REFUSED, "see Stalled"),
        Condition(STALLED, True, _STATUS_REFUSED, text),
    )
    kept = [each for each in refused["conditions"] if each["type"] in {ACCEPTED, AVAILABLE}]
    conditions = to_status(mine, live_status.get("conditions", ()), generation=generation, now=now)
    status = {**live_status, "observedGeneration": generation, "conditions": [*conditions, *kept]}
    if secrets := refused.get("generatedSecrets"):
        status["generatedSecrets"] = secrets
    return dict(within_bounds(status))


def transitions(status: Mapping[str, Any], live_status: Object) -> Iterator[Event]:
    """Events for what has changed: Ready's reason, and nothing else, so that they stay few."""
    before = {item["type"]: item for item in live_status.get("conditions", ())}
    ready = next(item for item in status["conditions"] if item["type"] == READY)
    old = before.get(READY)
    if old and (old["status"], old["reason"]) == (ready["status"], ready["reason"]):
        return
    stalled = any(
        item["type"] == STALLED and item["status"] == "True" for item in status["conditions"]
    )
    yield Event("Warning" if stalled else "Normal", ready["reason"], ready["message"])


def _beside_synapse(findings: Findings, world: World) -> tuple[Progress, ...]:
    """Stores and the router."""
    if not findings.manifests:
        return ()
    return progress(findings.manifests.beside, world)


def _conditions(
    server: HomeServer,
    findings: Findings,
    world: World,
    all_progress: tuple[Progress, ...],
    obstacle: Obstacle | None,
) -> Iterator[Condition]:
    people = obstacle is not None and obstacle.people
    if server.paused and not obstacle:
        yield Condition(READY, None, "Paused", "spec.paused is set: nothing is done")
    elif obstacle:
        yield Condition(READY, False, obstacle.reason, obstacle.message)
    else:
        yield Condition(READY, True, "Ready", "every process is ready")
    working = obstacle is not None and not people
    yield Condition(
        RECONCILING,
        working,
        obstacle.reason if obstacle and working else "Settled",
        obstacle.message if obstacle and working else "nothing to do",
    )
    yield Condition(
        STALLED,
        people,
        obstacle.reason if obstacle and people else "NotStalled",
        obstacle.message if obstacle and people else "nothing needs people's attention",
    )
    yield _accepted(findings)
    yield _available(findings, world, all_progress)
    if server.paused:
        yield Condition(PAUSED, True, "Paused", "spec.paused is set: nothing but this is written")
    if not isinstance(server.postgres.server, ExternalPostgres):
        yield Condition(
            EVALUATION_DATABASE,
            True,
            "ManagedPostgres",
            "the database is a single pod without backups, meant for evaluation: "
            "set spec.postgres.host for production",
        )
    if findings.manifests and findings.release:
        yield up_to_date(server, findings.release, findings.manifests)
    if findings.manifests and findings.manifests.reduced:
        yield _routing_reduced(server, findings.manifests.reduced)
    if findings.shared:
        yield Condition(HOST_SHARED, True, "SeveralHomeServers", findings.shared)
    if findings.topology and (budget := connection_budget(server, findings.topology, world)):
        yield budget
    if conflict := shard_maps_differ(world):
        yield conflict
    if foreign := foreign_fields(world):
        yield foreign
    if findings.outlook and (rewritten := rewritten_fields(findings.outlook.rewritten)):
        yield rewritten


def _routing_reduced(server: HomeServer, reduced: tuple[Reduction, ...]) -> Condition:
    """Nothing is wrong: every request is answered by a process that can."""
    losses = [
        f"{item.what} (routes: {', '.join(item.route_classes)})" if item.route_classes
        else item.what
        for item in reduced
    ]  # fmt: skip
    controller = server.ingress.controller
    text = f"{controller} is not told, for lack of words: {'; '.join(losses)}"
    return Condition(ROUTING_REDUCED, True, "ControllerLimits", text)


def _accepted(findings: Findings) -> Condition:
    if findings.rejected:
        return Condition(ACCEPTED, False, findings.rejected.reason, findings.rejected.message)
    if findings.strangers:
        return Condition(ACCEPTED, False, "NameConflict", "objects of these names are others'")
    return Condition(ACCEPTED, True, "Accepted", "the spec is valid")


def _available(findings: Findings, world: World, all_progress: tuple[Progress, ...]) -> Condition:
    if not findings.manifests:
        return _still_available(world)
    down = sorted({item.process for item in all_progress if item.desired and not item.ready})
    if down:
        return Condition(AVAILABLE, False, "ProcessesDown", f"no pod ready of {', '.join(down)}")
    return Condition(AVAILABLE, True, "Available", "every process has a ready pod")


def _still_available(world: World) -> Condition:
    """Of a rejected spec nothing is built, so the live Deployments speak for themselves."""
    deployments = world.of_kind("Deployment")
    down = sorted(
        name
        for name, live in deployments.items()
        if live["spec"].get("replicas", 1) and not has_ready(live)
    )
    if not deployments:
        return Condition(AVAILABLE, False, "NothingRuns", "nothing has been started yet")
    if down:
        return Condition(AVAILABLE, False, "ProcessesDown", f"no pod ready of {', '.join(down)}")
    return Condition(AVAILABLE, True, "Available", "the last accepted spec runs")


def _groups(synapse: tuple[Progress, ...]) -> list[dict[str, Any]]:
    names = dict.fromkeys(item.group for item in synapse)
    return [
        {
            "name": name,
            "desired": sum(item.desired for item in synapse if item.group == name),
            "ready": sum(item.ready for item in synapse if item.group == name),
        }
        for name in names
    ]


def _version(world: World) -> str | None:
    for name, state in sorted(world.states.items()):
        pod = world.children.get(ObjectKey("Pod", name))
        if pod and pod["metadata"].get("labels", {}).get(ROLE_LABEL) == "main":
            version = state.get("synapse")
            return str(version) if version else None
    return None


def _generated(server: HomeServer) -> set[str]:
    return {source.object.name for source in sources_of(server) if source.generates}
