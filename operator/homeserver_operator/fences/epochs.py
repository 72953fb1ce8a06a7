"""Which epoch each fence is at, or has to rise to.

An epoch rises when what its holders agree on changes, and otherwise never: it is read back from
what lives, so that nothing has to be remembered anywhere else. Should that be lost or outdated, the
database knows better, and its word is a higher epoch.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver_operator.api.observed import is_ready, is_synapse
from homeserver_operator.api.world import Object, World
from homeserver_operator.fences.claims import Claims
from homeserver_operator.fences.marks import Fences, Mark, marks_of


def settle(claims: Claims, world: World) -> Fences:
    """The epoch of every fence."""
    pods = [_told(pod, world) for pod in world.of_kind("Pod").values() if is_synapse(pod)]
    known = [*map(marks_of, _templates(world)), *(pod.marks for pod in pods)]
    marks = {}
    for fence, content in claims.content.items():
        of_fence = {found[fence] for found in known if fence in found}
        entered = max((epoch for pod in pods for epoch in _entered(fence, pod)), default=0)
        taken = max((_taken_by_others(fence, content, pod) for pod in pods), default=0)
        marks[fence] = Mark(_epoch(content, of_fence, entered, taken), content)
    return Fences(marks, claims.holders)


def _epoch(content: str, known: Collection[Mark], entered: int, taken: int) -> int:
    same = max((mark.epoch for mark in known if mark.content == content), default=0)
    # Going back to what still lives is no change, as long as nobody has gone on without it.
    if same > taken and same >= entered:
        return same
    return max(entered, *(mark.epoch for mark in known), 0) + 1


def _templates(world: World) -> Iterator[Object]:
    """What says what is to live, besides pods."""
    for deployment in world.of_kind("Deployment").values():
        yield deployment["spec"]["template"]
    for replica_set in world.replica_sets:
        if replica_set["spec"].get("replicas") or replica_set.get("status", {}).get("replicas"):
            yield replica_set["spec"]["template"]


@dataclass(frozen=True)
class _Pod:
    """What a pod tells of its fences; `state` is any sort of word."""

    marks: Mapping[str, Mark]
    ready: bool
    state: Mapping[str, Any]


def _told(pod: Object, world: World) -> _Pod:
    return _Pod(marks_of(pod), is_ready(pod), world.states.get(pod["metadata"]["name"], {}))


def _entered(fence: str, pod: _Pod) -> Iterator[int]:
    """Epochs that have ever been entered, as far as one pod tells."""
    if pod.ready and fence in pod.marks:
        yield pod.marks[fence].epoch
    yield _number(pod.state.get("fences"), fence)
    yield _number(pod.state.get("recorded"), fence)
    yield _superseded_at(fence, pod)


def _taken_by_others(fence: str, content: str, pod: _Pod) -> int:
    """The epoch that the database has of a former life, in which it meant something else; or 0.

    As after a resource was deleted and made anew: processes of both lives must not take each
    other's epoch for theirs.
    """
    mark = pod.marks.get(fence)
    known = mark and mark.content == content and _superseded_at(fence, pod) == mark.epoch
    return mark.epoch if mark and known else 0


def _superseded_at(fence: str, pod: _Pod) -> int:
    told = pod.state.get("superseded_by")
    return _number(told, "epoch") if isinstance(told, dict) and told.get("fence") == fence else 0


def _number(mapping: object, key: str) -> int:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, int) else 0
