"""The launchers' rule, played: who must wait for whom, as pods and their ConfigMaps say."""

from collections.abc import Mapping
from functools import cache

import yaml

from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.fences import Mark, marks_of


def is_ready(item: Object) -> bool:
    conditions = item.get("status", {}).get("conditions", ()) if item["kind"] == "Pod" else ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def conflict(pod: Object, other: Object, live: Mapping[ObjectKey, Object]) -> bool:
    """Whether a pod must wait for another that runs: another epoch of a fence, or the same name."""
    ours, theirs = epochs_of(pod), epochs_of(other)
    if any(ours[fence] != theirs[fence] for fence in ours.keys() & theirs.keys()):
        return True
    name = _name(pod, live)
    return pod is not other and name is not None and name == _name(other, live)


def superseding(pod: Object, recorded: Mapping[str, Mark]) -> dict[str, int]:
    """Of its fences, those of which a higher epoch was ever entered, or its own with other content.

    With the epoch that was.
    """
    return {
        fence: known.epoch
        for fence, mark in marks_of(pod).items()
        if (known := recorded.get(fence))
        and (known.epoch > mark.epoch or (known.epoch == mark.epoch and known != mark))
    }


def record(pod: Object, recorded: dict[str, Mark]) -> None:
    """A pod enters."""
    for fence, mark in marks_of(pod).items():
        if fence not in recorded or recorded[fence].epoch < mark.epoch:
            recorded[fence] = mark


def epochs_of(pod: Object) -> dict[str, int]:
    return {fence: mark.epoch for fence, mark in marks_of(pod).items()}


def _name(pod: Object, live: Mapping[ObjectKey, Object]) -> str | None:
    """The name that its launcher.yaml gives; None for a pod's own, or of a pod that has none."""
    for volume in pod["spec"].get("volumes", ()):
        files = live.get(ObjectKey("ConfigMap", volume.get("configMap", {}).get("name", "")), {})
        if "launcher.yaml" in files.get("data", {}):
            return _named_in(files["data"]["launcher.yaml"])
    return None


@cache
def _named_in(launcher: str) -> str | None:
    # Each pod asks at each turn, of files that are the same all the time.
    name: str | None = yaml.load(launcher, yaml.CSafeLoader)["name"]
    return name
