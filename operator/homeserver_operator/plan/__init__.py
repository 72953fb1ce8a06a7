"""From what is wanted and what is there to the writes that make them one, and nothing more.

Level-triggered: an operator that dies anywhere goes on from what it observes next.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from homeserver_operator.api.actions import Apply, Delete, Plan
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.plan import preflight, scaling
from homeserver_operator.plan.difference import first_difference, stamp, stamped_alike
from homeserver_operator.plan.mounted import mounted_content
from homeserver_operator.plan.preflight import Preflight
from homeserver_operator.plan.retention import reowned
from homeserver_operator.validate.sources import generated_names


@dataclass(frozen=True)
class Outlook:
    """The plan, how far the preflight is, and namesakes of ours that are somebody else's."""

    plan: Plan
    preflight: Preflight
    strangers: tuple[ObjectKey, ...] = ()


def make_plan(server: HomeServer, manifests: Manifests, world: World) -> Outlook:
    """Compare and decide. With strangers in the way nothing at all is written."""
    check = preflight.assess(server, manifests, world)
    wanted = [*manifests.all()]
    if check.pod and check.holds:
        wanted.append(check.pod)
    if strangers := tuple(sorted(_strangers(server, wanted, world))):
        return Outlook(Plan(), check, strangers)
    if check.holds:
        applies = tuple(_held(manifests, check, world))
        deletes = tuple(_outdated_preflights(server, check, world))
    else:
        applies = tuple(_differences(wanted, world))
        deletes = tuple(_unwanted(server, wanted, world))
    return Outlook(Plan(applies, deletes, tuple(reowned(server, world))), check)


def _key(manifest: Object) -> ObjectKey:
    return ObjectKey(manifest["kind"], manifest["metadata"]["name"])


def _controller(live: Object) -> str | None:
    owners = live["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _strangers(server: HomeServer, wanted: Iterable[Object], world: World) -> Iterator[ObjectKey]:
    """Labelled as ours, but controlled by another object (a namesake's, or a predecessor's)."""
    for manifest in wanted:
        live = world.children.get(_key(manifest))
        if live is not None and _controller(live) not in {None, server.uid}:
            yield _key(manifest)


def _differences(wanted: Iterable[Object], world: World) -> Iterator[Apply]:
    for manifest in wanted:
        yield from _writes(manifest, world)


def _writes(manifest: Object, world: World) -> Iterator[Apply]:
    """The apply of one object, if it is due, between those that its number of replicas needs."""
    order = _difference(manifest, world)
    live = world.children.get(_key(manifest))
    if manifest["kind"] != "Deployment" or live is None:
        if order:
            yield order
        return
    if order is None and scaling.changes_hands(manifest, live):
        order = Apply(stamp(manifest), live["metadata"]["uid"], "spec.replicas changes hands")
    around = (scaling.hand_over(manifest, live), order, scaling.take_back(manifest, live))
    yield from filter(None, around)


def _difference(manifest: Object, world: World) -> Apply | None:
    stamped = stamp(manifest)
    live = world.children.get(_key(manifest))
    if live is None:
        return Apply(stamped, None, "missing")
    if manifest["kind"] == "Pod":
        # Named by its content and immutable: what differs, admission has added (tolerations).
        return None
    if path := first_difference(stamped, live):
        return Apply(stamped, live["metadata"]["uid"], f"{path} is not as wanted")
    return None


def _held(manifests: Manifests, check: Preflight, world: World) -> Iterator[Apply]:
    """While the preflight runs: what it mounts, itself, and repairs of drift; no change of mind.

    A Service that is gone was most likely deleted; one that is new leads nowhere yet.
    """
    assert check.pod is not None  # noqa: S101 - a preflight that holds has a pod
    yield from _differences((manifests.account, *manifests.content, check.pod), world)
    for manifest in manifests.serving():
        live = world.children.get(_key(manifest))
        repairs = (
            manifest["kind"] == "Service" if live is None else stamped_alike(stamp(manifest), live)
        )
        if repairs:
            yield from _writes(manifest, world)


def _outdated_preflights(server: HomeServer, check: Preflight, world: World) -> Iterator[Delete]:
    for name, live in world.of_kind("Pod").items():
        current = check.pod is not None and check.pod["metadata"]["name"] == name
        if _controller(live) == server.uid and not current:
            yield Delete(ObjectKey("Pod", name), live["metadata"]["uid"], "outdated preflight")


def _unwanted(server: HomeServer, wanted: Iterable[Object], world: World) -> Iterator[Delete]:
    """Our own objects that nothing wants or mounts any more, what uses things before the things."""
    generated = {ObjectKey("Secret", name) for name in generated_names(server)}
    keep = {_key(manifest) for manifest in wanted} | mounted_content(world) | generated
    order = list(BY_KIND)
    for key in sorted(world.children, key=lambda key: (-order.index(key.kind), key.name)):
        live = world.children[key]
        if key in keep or not BY_KIND[key.kind].pruned or _controller(live) != server.uid:
            continue
        if "deletionTimestamp" not in live["metadata"]:
            yield Delete(key, live["metadata"]["uid"], "no longer wanted")
