"""The resources that the operator speaks of beside those it manages, and where the API has them."""

from typing import Final

from homeserver_operator.api import names
from homeserver_operator.api.kinds import BY_KIND, REPLICA_SET, ManagedKind

HOMESERVER: Final = ManagedKind("HomeServer", names.API_VERSION, names.PLURAL, pruned=False)
LEASE: Final = ManagedKind("Lease", "coordination.k8s.io/v1", "leases", pruned=False)
EVENT: Final = ManagedKind("Event", "events.k8s.io/v1", "events", pruned=False)
CRD: Final = ManagedKind(
    "CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions", pruned=False
)

PAGE: Final = 50
"""HomeServers that are read at once: all of them, parsed, would make the peak of memory."""


def kind_of(kind: str) -> ManagedKind:
    """Look up a kind that a plan may name."""
    return REPLICA_SET if kind == REPLICA_SET.kind else BY_KIND[kind]


def path_of(kind: ManagedKind, namespace: str | None, *rest: str) -> str:
    """Path of a collection, or with `rest` of an object and its subresource."""
    scope = ("namespaces", namespace) if namespace else ()
    return "/".join((kind.path, *scope, kind.plural, *rest))
