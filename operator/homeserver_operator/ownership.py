"""Whose an object is: the one rule that keeps us off other people's objects. Pure."""

from homeserver_operator.api import names
from homeserver_operator.api.world import Object


def owned_by(child: Object, server: Object) -> bool:
    """Whether the child is this HomeServer's.

    Its controller decides. Objects that outlive their HomeServer (generated Secrets, volumes) have
    none and are told by our labels.
    """
    metadata = child["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return bool(owner.get("uid") == server["metadata"]["uid"])
    labels = metadata.get("labels") or {}
    return bool(
        labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
        and labels.get(names.HOMESERVER_LABEL) == server["metadata"]["name"]
    )
