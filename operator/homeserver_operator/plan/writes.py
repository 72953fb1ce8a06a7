"""What has to be applied of single objects, that they are as they are wanted.

An apply that came out otherwise before is not made again at every look: who waits for it would wait
for ever.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from homeserver_operator.api.actions import Apply
from homeserver_operator.api.observed import key_of
from homeserver_operator.api.world import Object, ObjectKey, Rewrite, World
from homeserver_operator.plan import scaling
from homeserver_operator.plan.difference import first_difference, rewrite_of, stamp
from homeserver_operator.plan.records import is_lost
from homeserver_operator.plan.volumes import not_smaller


@dataclass(frozen=True)
class Rewritten:
    """An object that stays as an admission webhook has it, by the paths of these fields."""

    key: ObjectKey
    fields: tuple[str, ...]


def writes_of(wanted: Iterable[Object], world: World) -> Iterator[Apply | Rewritten]:
    """What is due of these objects, first to last."""
    for manifest in wanted:
        yield from _writes(manifest, world)


def _writes(manifest: Object, world: World) -> Iterator[Apply | Rewritten]:
    """The apply of one object, if it is due, between those that its number of replicas needs."""
    order = _difference(manifest, world)
    live = world.children.get(key_of(manifest))
    if order and live and (vain := _in_vain(order, live, world)):
        yield Rewritten(order.key, tuple(vain.fields))
        order = replace(order, again=True) if vain.due else None
    if manifest["kind"] != "Deployment" or live is None:
        if order:
            yield order
        return
    if order is None and scaling.changes_hands(manifest, live):
        order = Apply(stamp(manifest), live["metadata"]["uid"], "spec.replicas changes hands")
    if order is None and is_lost(live):
        reason = "nothing says which of its fields are ours"
        order = Apply(stamp(manifest), live["metadata"]["uid"], reason)
    if order is None:
        order = scaling.start_again(manifest, live)
    around = (scaling.hand_over(manifest, live), order, scaling.take_back(manifest, live))
    yield from filter(None, around)


def _difference(manifest: Object, world: World) -> Apply | None:
    stamped = stamp(manifest)
    live = world.children.get(key_of(manifest))
    if live is None:
        return Apply(stamped, None, "missing")
    if manifest["kind"] == "PersistentVolumeClaim":
        stamped = not_smaller(stamped, live)
    if path := first_difference(stamped, live):
        return Apply(stamped, live["metadata"]["uid"], f"{path} is not as wanted")
    return None


def _in_vain(order: Apply, live: Object, world: World) -> Rewrite | None:
    """What is known of just this apply, if the object is still as it came out of it before."""
    known = world.rewrites.get(order.key)
    return known if known and known == rewrite_of(order.manifest, live) else None
