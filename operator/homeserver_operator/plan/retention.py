"""Generated Secrets go with their HomeServer or stay: by an owner reference that follows the spec.

They are made once and never applied again, so that nothing can replace what they hold; this is the
one thing about them that may change.
"""

from collections.abc import Iterator

from homeserver_operator.api.actions import Amend
from homeserver_operator.api.observed import is_anothers
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import ObjectKey, World
from homeserver_operator.build.meta import owner_reference
from homeserver_operator.validate.sources import generated_names, sources_of


def inherited(server: HomeServer, world: World) -> Iterator[ObjectKey]:
    """Generated Secrets in use that are another HomeServer's: they look like ours until they go."""
    for source in sources_of(server):
        live = world.children.get(source.object)
        if source.generates and live is not None and is_anothers(live, server.uid):
            yield source.object


def reowned(server: HomeServer, world: World) -> Iterator[Amend]:
    """Secrets whose owner reference is not as `spec.retention.secrets` says."""
    goes = server.retention.secrets == "Delete"
    for name in sorted(generated_names(server)):
        key = ObjectKey("Secret", name)
        live = world.children.get(key)
        if live is None:
            continue
        owners = live["metadata"].get("ownerReferences", ())
        others = [owner for owner in owners if owner["uid"] != server.uid]
        if any(owner.get("controller") for owner in others):
            continue
        if goes != (len(others) < len(owners)):
            yield Amend(
                key,
                live["metadata"]["uid"],
                live["metadata"].get("resourceVersion"),
                {"ownerReferences": [*others, owner_reference(server)] if goes else others},
                f"retention.secrets is {server.retention.secrets}",
            )
