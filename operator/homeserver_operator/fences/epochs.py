"""Which epoch each fence is at, or has to rise to.

An epoch rises when what its holders agree on changes, and otherwise never: it is read back from
what lives, so that nothing has to be remembered anywhere else. Should that be lost or outdated, the
database knows better, and its word is a higher epoch.
"""

from collections.abc import Iterator

from homeserver_operator.api.names import ROLE_LABEL
from homeserver_operator.api.world import Object, World
from homeserver_operator.fences.claims import Claims
from homeserver_operator.fences.marks import Fences, Mark, marks_of


def settle(claims: Claims, world: World) -> Fences:
    """The epoch of every fence."""
    marks = {
        fence: Mark(_epoch(fence, content, world), content)
        for fence, content in claims.content.items()
    }
    return Fences(marks, claims.holders)


def _epoch(fence: str, content: str, world: World) -> int:
    known = {mark for template in _templates(world) if (mark := marks_of(template).get(fence))}
    latest = max((mark.epoch for mark in known), default=0)
    same = max((mark.epoch for mark in known if mark.content == content), default=0)
    # Going back to what still lives is no change, as long as nobody has gone on without it.
    epoch = same if same and not _entered_after(fence, same, world) else latest + 1
    return max(epoch, *(recorded + 1 for recorded in _superseding(fence, epoch, world)), 1)


def _templates(world: World) -> Iterator[Object]:
    """Everything that says what lives or is to live."""
    for deployment in world.of_kind("Deployment").values():
        yield deployment["spec"]["template"]
    for replica_set in world.replica_sets:
        if replica_set["spec"].get("replicas") or replica_set.get("status", {}).get("replicas"):
            yield replica_set["spec"]["template"]
    yield from _pods(world)


def _pods(world: World) -> Iterator[Object]:
    for pod in world.of_kind("Pod").values():
        if pod["metadata"].get("labels", {}).get(ROLE_LABEL) in {"main", "worker"}:
            yield pod


def _entered_after(fence: str, epoch: int, world: World) -> bool:
    """Whether a process has ever run at a later epoch of those that are known."""
    for pod in _pods(world):
        mark = marks_of(pod).get(fence)
        state = world.states.get(pod["metadata"]["name"], {})
        if mark and mark.epoch > epoch and (_ready(pod) or _holds(state, fence)):
            return True
        if _number(state.get("recorded"), fence) > epoch:
            return True
    return False


def _superseding(fence: str, epoch: int, world: World) -> Iterator[int]:
    """Later epochs of which processes that were started with this one have been told."""
    for pod in _pods(world):
        mark = marks_of(pod).get(fence)
        state = world.states.get(pod["metadata"]["name"], {})
        told = state.get("superseded_by")
        # An outdated pod is superseded as it must be; a pod's word may be of any kind.
        if mark and mark.epoch == epoch and isinstance(told, dict):
            later = _number(state.get("recorded"), fence)
            if told.get("fence") == fence:
                later = max(later, _number(told, "epoch"))
            if later > epoch:
                yield later


def _ready(pod: Object) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod.get("status", {}).get("conditions", ())
    )


def _holds(state: Object, fence: str) -> bool:
    return _number(state.get("fences"), fence) > 0


def _number(mapping: object, key: str) -> int:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, int) else 0
