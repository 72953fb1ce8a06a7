"""Why a process restarts, in words: what differs between what it runs with and what it is to.

Only words. That it restarts follows from its bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from homeserver_operator.api.words import listed
from homeserver_operator.api.world import Object, World
from homeserver_operator.build.rendering import rendering_of
from homeserver_operator.fences import marks_of
from homeserver_operator.plan.files import SETTINGS, connections_of, files_of
from homeserver_operator.plan.rollout import Rollout

_MOST = 4


def because(rollout: Rollout, contents: Mapping[str, Object], world: World) -> str:
    """The reason of one restart; `contents` are the ConfigMaps that are wanted, by name."""
    if rollout.wanted is None:
        return "it is no longer wanted"
    if rollout.live is None:
        return "it is new"
    running = rollout.old[0] if rollout.old and not rollout.changed else rollout.live
    before, after = running["spec"]["template"], rollout.wanted["spec"]["template"]
    live_maps = world.of_kind("ConfigMap")
    found = [
        *_in_rendering(running, rollout.wanted),
        *_differences(before, after, live_maps, contents),
    ]
    # For who sees nothing of what the other holders of a fence agree on.
    found = found or list(_in_fences(before, after))
    if not found:
        return "its pods are replaced"
    return listed(found, _MOST)


def _in_rendering(before: Object, after: Object) -> Iterator[str]:
    old, new = rendering_of(before), rendering_of(after)
    if old is None and before["kind"] != "Deployment":
        # Not every ReplicaSet has its Deployment's annotations.
        return
    if old != new:
        yield f"the operator's rendering moved from {old or 'unknown'} to {new}"


def _differences(
    before: Object, after: Object, live_maps: Mapping[str, Object], contents: Mapping[str, Object]
) -> Iterator[str]:
    old, new = before["spec"]["containers"][0], after["spec"]["containers"][0]
    if old.get("image") != new.get("image"):
        yield f"image changed: {old.get('image')} becomes {new.get('image')}"
    there, then = connections_of(before, live_maps), connections_of(after, contents)
    if there and then and there.database != then.database:
        yield "another database: every process stops before the first one starts"
    yield from _in_files(files_of(before, live_maps), files_of(after, contents))
    yield from _in_secrets(before, after)
    if (old.get("resources") or {}) != (new.get("resources") or {}):
        yield "resources changed"
    for field in ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"):
        if (before["spec"].get(field) or None) != (after["spec"].get(field) or None):
            yield f"{field} changed"


def _in_files(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    if old is None or new is None:
        return
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        if name == "log.yaml":
            yield "the log level changed"
        elif name == SETTINGS:
            both = (each.get(name) for each in (old, new))
            yield from _in_settings(*(each if isinstance(each, Mapping) else {} for each in both))


def _in_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new or key == "instance_map":
            continue
        if key == "stream_writers":
            old, new = old or {}, new or {}
            for stream in sorted(old.keys() | new.keys()):
                if old.get(stream) != new.get(stream):
                    members = _members(old.get(stream), new.get(stream))
                    yield f"stream_writers.{stream} changed{members}"
        else:
            yield f"{key} changed{_members(old, new)}"


def _members(before: Any, after: Any) -> str:
    """What came and went of two lists of names."""
    old, new = _names(before), _names(after)
    if old is None or new is None:
        return ""
    came = [f"{name} added" for name in new if name not in old]
    went = [f"{name} removed" for name in old if name not in new]
    return f": {', '.join(came + went)}" if came or went else ": another order"


def _names(value: Any) -> Sequence[str] | None:
    if value is None:
        return ()
    listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if listed else None


def _in_secrets(before: Object, after: Object) -> Iterator[str]:
    old, new = _secrets(before), _secrets(after)
    for purpose in sorted(old.keys() & new.keys()):
        if old[purpose] != new[purpose]:
            yield f"secret {purpose} changed"
    for purpose in sorted(old.keys() ^ new.keys()):
        yield f"secret {purpose} {'added' if purpose in new else 'removed'}"


def _in_fences(before: Object, after: Object) -> Iterator[str]:
    old, new = marks_of(before), marks_of(after)
    for fence in sorted(old.keys() & new.keys()):
        if old[fence].epoch != new[fence].epoch:
            yield f"epoch {new[fence].epoch} of {fence}"


def _secrets(template: Object) -> dict[str, str]:
    return {
        volume["name"]: volume["secret"].get("secretName", "")
        for volume in template["spec"].get("volumes", ())
        if "secret" in volume
    }
