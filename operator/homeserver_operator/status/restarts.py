"""What people are told of restarts: the plan, the epochs, each process, and the last switch.

Times come from the status itself: a phase that has been told is a phase that has begun.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from homeserver_operator.api.names import PROCESS_LABEL
from homeserver_operator.api.observed import is_synapse
from homeserver_operator.api.restarts import Phase, Wave
from homeserver_operator.api.world import World
from homeserver_operator.plan.restarting import Restarts
from homeserver_operator.status.bounds import MOST_PROCESSES, MOST_WAVES
from homeserver_operator.status.conditions import Condition

SHARD_MAPS_DIFFER: Final = "ShardMapsDiffer"

_BEYOND: Final = 1 << 63
"""The API server's integers end before."""

_LATER: Final = frozenset({Phase.SWITCHING, Phase.SETTLING})


def restarts_status(
    restarts: Restarts, live: Mapping[str, Any], world: World, *, ready: bool, now: str
) -> dict[str, Any]:
    """The fields of the status that speak of restarts; `ready`: nothing is left to wait for."""
    status: dict[str, Any] = {"processes": list(_processes(world))}
    plan = _plan(restarts, live.get("plan"), ready=ready, now=now)
    if plan:
        status["plan"] = plan
    if finished := _finished(live.get("plan"), plan, now):
        status["lastSwitch"] = finished
    elif "lastSwitch" in live:
        status["lastSwitch"] = live["lastSwitch"]
    return status


def _plan(
    restarts: Restarts, before: Mapping[str, Any] | None, *, ready: bool, now: str
) -> dict[str, Any] | None:
    same = before if before and before.get("id") == restarts.id else None
    if restarts.phase is None:
        if not same or "switchedAt" not in same or ready:
            return None
        # Nothing old is left, and the new ones are on their way: what was told stands.
        because = "waiting for the new processes to be ready"
        return {**same, "phase": Phase.SETTLING.value, "because": because}
    plan: dict[str, Any] = {
        "id": restarts.id,
        "phase": restarts.phase.value,
        "because": _because(restarts),
        **_story([_wave(wave) for wave in restarts.waves], same),
    }
    if restarts.phase is not Phase.HELD:
        plan["startedAt"] = (same or {}).get("startedAt", now)
    if same and "switchedAt" in same:
        plan["switchedAt"] = same["switchedAt"]
    elif restarts.phase in _LATER:
        plan["switchedAt"] = now
    return plan


def _story(waves: list[dict[str, Any]], same: Mapping[str, Any] | None) -> dict[str, Any]:
    """What has been done by now belongs to it: so what was told stands, if it says of all."""
    if same and len({*_named(waves)} - {*_named(same["waves"])}) <= same.get("more", 0):
        return {field: same[field] for field in ("waves", "more") if field in same}
    shown = list(_first(waves))
    more = len([*_named(waves)]) - len([*_named(shown)])
    return {"waves": shown, **({"more": more} if more else {})}


def _first(waves: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As much of them as is shown."""
    room = MOST_PROCESSES
    for wave in waves[:MOST_WAVES]:
        if restarts := wave["restarts"][:room]:
            yield {"restarts": restarts}
        room -= len(restarts)


def _named(waves: list[dict[str, Any]]) -> Iterator[str]:
    return (restart["process"] for wave in waves for restart in wave["restarts"])


def _wave(wave: Wave) -> dict[str, Any]:
    return {
        "restarts": [
            {"process": restart.process, "because": restart.because} for restart in wave.restarts
        ]
    }


def _because(restarts: Restarts) -> str:
    if restarts.phase is Phase.HELD:
        return restarts.consent.because
    if leaving := restarts.relocation.processes:
        return (
            f"waiting for {', '.join(leaving)} to end: on another database nobody would wait for "
            "them, so they stop before anything starts"
        )
    first = restarts.order[0]
    queue = restarts.queue
    cold = [process for process in first if process not in restarts.warm | {*queue}]
    if restarts.phase is Phase.WARMING and (cold or queue):
        then = f", then for {', '.join(queue)} (spec.restartPolicy.maxWarming)" if queue else ""
        return f"waiting for {', '.join(cold)} to be warm{then}; the old processes serve"
    return f"handing over {', '.join(first)}"


def _finished(
    before: Mapping[str, Any] | None, plan: Mapping[str, Any] | None, now: str
) -> dict[str, Any] | None:
    """The switch that was under way and no longer is."""
    if plan or not before or "switchedAt" not in before:
        return None
    began, ended = before["switchedAt"], now
    told = [restart for wave in before["waves"] for restart in wave["restarts"]]
    length = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return {
        "startedAt": began,
        "finishedAt": ended,
        "seconds": max(length.total_seconds(), 0),
        "processes": len(told) + before.get("more", 0),
        "because": told[0]["because"] if told else "",
    }


def _processes(world: World) -> Iterator[dict[str, Any]]:
    """What each pod that answers says of itself, as far as it can be believed."""
    pods = world.of_kind("Pod")
    told = [name for name in sorted(pods) if is_synapse(pods[name]) and name in world.states]
    for name in told[:MOST_PROCESSES]:
        state = world.states[name]
        if not _text(state.get("phase")):
            continue
        said: dict[str, Any] = {
            "process": pods[name]["metadata"]["labels"].get(PROCESS_LABEL),
            "phase": _text(state.get("phase")),
            "revision": _text(state.get("revision")),
            "epochs": {
                fence: epoch
                for fence, epoch in _of(int, state.get("fences")).items()
                if 0 <= epoch < _BEYOND
            },
            "shardMaps": _of(str, state.get("shard_maps")),
        }
        yield {"pod": name} | {field: value for field, value in said.items() if value}


def shard_maps_differ(world: World) -> Condition | None:
    """The alarm that fences should make impossible: processes serve by different shard maps."""
    seen: dict[str, dict[str, list[str]]] = {}
    for name, state in sorted(world.states.items()):
        if state.get("phase") == "serving":
            for fence, shard_map in _of(str, state.get("shard_maps")).items():
                seen.setdefault(fence, {}).setdefault(shard_map, []).append(name)
    told = [
        f"{fence}: {' and '.join(', '.join(names) for names in maps.values())}"
        for fence, maps in sorted(seen.items())
        if len(maps) > 1
    ]
    if not told:
        return None
    text = f"processes serve by different shard maps ({'; '.join(told)}); it is being repaired"
    return Condition(SHARD_MAPS_DIFFER, True, "SeveralShardMaps", text)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _of(kind: type, value: object) -> dict[str, Any]:
    """The entries of one kind of a mapping that a pod has sent; it may be anything."""
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in list(value.items())[:8] if type(item) is kind}
