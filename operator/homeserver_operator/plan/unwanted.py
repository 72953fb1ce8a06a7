"""What is to be deleted: our own objects that nothing wants or uses any more."""

from collections.abc import Iterable, Iterator

from homeserver_operator.api.actions import Delete
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import EPOCH_LABEL
from homeserver_operator.api.observed import controller_of, key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.network_policies import is_egress
from homeserver_operator.plan.mounted import mounted_content
from homeserver_operator.plan.restarting import Restarts
from homeserver_operator.plan.selection import called_epochs
from homeserver_operator.validate.sources import generated_names


def find_unwanted(
    server: HomeServer,
    manifests: Manifests,
    restarts: Restarts,
    used: Iterable[ObjectKey],
    world: World,
) -> Iterator[Delete]:
    """Delete what uses things before the things; `used` is what something still leads to.

    In a switch only what leads traffic in, when all that leads to pods turns: to whom it leads,
    ends; and what must not wait so long.
    """
    wanted = {key_of(manifest) for manifest in manifests.all()}
    generated = {ObjectKey("Secret", name) for name in generated_names(server)}
    keep = wanted.union(used, mounted_content(world), generated, _called(world))
    order = list(BY_KIND)
    kinds = _kinds_now(restarts)
    unused = [
        key
        for key, live in world.children.items()
        if key not in keep and (key.kind in kinds or _hinders(live, restarts))
    ]
    for key in sorted(unused, key=lambda key: (-order.index(key.kind), key.name)):
        live = world.children[key]
        if controller_of(live) == server.uid and "deletionTimestamp" not in live["metadata"]:
            yield Delete(key, live["metadata"]["uid"], "no longer wanted")


def _kinds_now(restarts: Restarts) -> frozenset[str]:
    """The kinds of which everything may go that is unused."""
    if restarts.holds_routes:
        return frozenset()
    pruned = (kind for kind, each in BY_KIND.items() if each.pruned)
    if restarts.switch:
        return frozenset(kind for kind in pruned if BY_KIND[kind].entrance)
    return frozenset(pruned)


def _hinders(live: Object, restarts: Restarts) -> bool:
    """Whether an unwanted object undoes what is done at any time, and must not wait.

    An autoscaler would write another number of processes than is set now, and a policy could keep
    those inside who are to reach others next.
    """
    return is_egress(live) or restarts.scales_who_stays(live)


def _called(world: World) -> Iterator[ObjectKey]:
    """Replication Services of epochs of which pods are left."""
    epochs = called_epochs(world)
    for name, service in world.of_kind("Service").items():
        if service["metadata"].get("labels", {}).get(EPOCH_LABEL) in epochs:
            yield ObjectKey("Service", name)
