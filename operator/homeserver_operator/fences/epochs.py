"""Which epoch each fence is at, or has to rise to.

An epoch rises when what its holders agree on changes, and otherwise never: it is read back from
what lives, so that nothing has to be remembered anywhere else. Should that be lost or outdated, the
database knows better, and its word is a higher epoch.
"""

from collections.abc import Collection, Iterator

from homeserver_operator.api.observed import is_ready, is_synapse
from homeserver_operator.api.world import Object, World
from homeserver_operator.fences.claims import Claims
from homeserver_operator.fences.marks import Fences, Mark, marks_of


def settle(claims: Claims, world: World) -> Fences:
    """The epoch of every fence."""
    known = [marks_of(template) for template in _templates(world)]
    marks = {}
    for fence, content in claims.content.items():
        of_fence = {found[fence] for found in known if fence in found}
        entered = max(_entered(fence, world), default=0)
        taken = _taken_by_others(fence, content, world)
        marks[fence] = Mark(_epoch(content, of_fence, entered, taken), content)
    return Fences(marks, claims.holders)


def _epoch(content: str, known: Collection[Mark], entered: int, taken: int) -> int:
    same = max((mark.epoch for mark in known if mark.content == content), default=0)
    # Going back to what still lives is no change, as long as nobody has gone on without it.
    if same > taken and same >= entered:
        return same
    return max(entered, *(mark.epoch for mark in known), 0) + 1


def _templates(world: World) -> Iterator[Object]:
    """Everything that says what lives or is to live."""
    for deployment in world.of_kind("Deployment").values():
        yield deployment["spec"]["template"]
    for replica_set in world.replica_sets:
        if replica_set["spec"].get("replicas") or replica_set.get("status", {}).get("replicas"):
            yield replica_set["spec"]["template"]
    yield from _pods(world)


def _pods(world: World) -> Iterator[Object]:
    return filter(is_synapse, world.of_kind("Pod").values())


def _entered(fence: str, world: World) -> Iterator[int]:
    """Epochs that have ever been entered, as far as pods tell; theirs is any sort of word."""
    for pod in _pods(world):
        mark = marks_of(pod).get(fence)
        state = world.states.get(pod["metadata"]["name"], {})
        if mark and is_ready(pod):
            yield mark.epoch
        yield _number(state.get("fences"), fence)
        yield _number(state.get("recorded"), fence)
        yield _superseded_at(fence, pod, world)


def _taken_by_others(fence: str, content: str, world: World) -> int:
    """The highest epoch that the database has of a former life, in which it meant something else.

    As after a resource was deleted and made anew: processes of both lives must not take each
    other's epoch for theirs.
    """
    return max(
        (
            mark.epoch
            for pod in _pods(world)
            if (mark := marks_of(pod).get(fence))
            and mark.content == content
            and _superseded_at(fence, pod, world) == mark.epoch
        ),
        default=0,
    )


def _superseded_at(fence: str, pod: Object, world: World) -> int:
    told = world.states.get(pod["metadata"]["name"], {}).get("superseded_by")
    return _number(told, "epoch") if isinstance(told, dict) and told.get("fence") == fence else 0


def _number(mapping: object, key: str) -> int:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, int) else 0
