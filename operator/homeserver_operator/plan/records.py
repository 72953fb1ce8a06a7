"""Repairs the record of whose fields are whose (managedFields): without it nothing is taken away.

Where it was wiped, the API server gives all that is there to a manager of its own at our next
apply, and what we leave out from then on stays for ever. So we apply at once, while all that is
there is still wanted, and take that manager out again.
"""

from collections.abc import Iterator
from typing import Final

from homeserver_operator.api.actions import Amend
from homeserver_operator.api.observed import key_of
from homeserver_operator.api.world import Object, World
from homeserver_operator.plan.owned import is_ours, record_of

NOBODY: Final = "before-first-apply"
"""The API server's name for whoever wrote what nobody is recorded for."""


def is_lost(deployment: Object) -> bool:
    """Whether nothing says which fields are ours."""
    return not any(is_ours(entry) for entry in record_of(deployment))


def disowned(world: World) -> Iterator[Amend]:
    """Deployments that are ours by the record, but not ours alone."""
    for live in world.of_kind("Deployment").values():
        record = record_of(live)
        kept = [entry for entry in record if entry["manager"] != NOBODY]
        if len(kept) < len(record) and not is_lost(live):
            yield Amend(
                key_of(live),
                live["metadata"]["uid"],
                live["metadata"]["resourceVersion"],
                {"managedFields": kept},
                "the record of whose fields are whose had been wiped",
            )
