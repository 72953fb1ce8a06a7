"""Epochs as they stand on pod templates, so that every ReplicaSet and pod says which it has."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.canonical import canonical
from homeserver_operator.api.names import FENCES_ANNOTATION
from homeserver_operator.api.world import Object


@dataclass(frozen=True)
class Mark:
    """An epoch of a fence, and the hash of what its holders agreed on then."""

    epoch: int
    content: str


@dataclass(frozen=True)
class Fences:
    """All fences of a homeserver at the epochs that are wanted."""

    marks: Mapping[str, Mark] = field(default_factory=dict)
    holders: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, process: str) -> dict[str, Mark]:
        """What one process must hold."""
        return {fence: mark for fence, mark in self.marks.items() if process in self.holders[fence]}


def annotation(marks: Mapping[str, Mark]) -> dict[str, str]:
    """The annotation of a pod template."""
    text = {fence: {"epoch": mark.epoch, "content": mark.content} for fence, mark in marks.items()}
    return {FENCES_ANNOTATION: canonical(text)}


def marks_of(template: Object) -> dict[str, Mark]:
    """The marks of a pod or a pod template; none of one that is not ours or was tampered with."""
    text = (template.get("metadata") or {}).get("annotations", {}).get(FENCES_ANNOTATION, "{}")
    return dict(_parsed(text))


def holds_fences(state: Mapping[str, Any], pod: Object) -> bool:
    """Whether a process says in its state that it holds all fences of its pod, at their epochs."""
    wanted = {name: mark.epoch for name, mark in marks_of(pod).items()}
    return bool((state.get("fences") or {}) == wanted)


def _parsed(text: str) -> Iterator[tuple[str, Mark]]:
    try:
        found = json.loads(text)
    except ValueError:
        return
    for fence, mark in found.items() if isinstance(found, dict) else ():
        if isinstance(mark, dict) and isinstance(mark.get("epoch"), int):
            yield fence, Mark(mark["epoch"], str(mark.get("content")))
