"""What observation hands to the core: the cluster as it was a moment ago, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

Object = Mapping[str, Any]
"""A Kubernetes object as the API server sends it, never changed in place."""


class Key(NamedTuple):
    """Which HomeServer."""

    namespace: str
    name: str


class ObjectKey(NamedTuple):
    """Which object in the HomeServer's namespace."""

    kind: str
    name: str


@dataclass(frozen=True)
class Defaults:
    """What the operator's own configuration contributes where a HomeServer is silent."""

    image: str
    postgres_image: str
    redis_image: str
    router_image: str
    image_pull_policy: str = "IfNotPresent"


@dataclass(frozen=True)
class Rewrite:
    """What the API server made otherwise of an object that we applied, as admission webhooks do.

    `applied` is the hash of what we applied; `fields` has each other field's path and the hash of
    what it became. `due`: it is time to try again, because a webhook may go.
    """

    applied: str
    fields: Mapping[str, str]
    due: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class HostClaim:
    """What one HomeServer has to do with which hosts, for the others to know.

    `has` are hosts with path prefixes that lead to it, or are about to; `hosts` those and all that
    it wants. `front` is the IngressClass or the Gateway that it names; None may be any.
    """

    key: Key
    created: str
    front: tuple[str, ...] | None
    hosts: frozenset[str]
    has: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class World:
    """Everything that one reconcile knows of the cluster.

    `children` holds every object of a managed kind that carries this HomeServer's label, pods of
    its Deployments included; `references` the data of Secrets and ConfigMaps that the spec names
    (None where the object does not exist); `replica_sets` the labelled ReplicaSets; `states` the
    answers to `GET /state`, by pod name, where a pod answered. `rewrites` has objects that were
    applied in vain; `rivals` what other HomeServers have to do with the hosts that this one wants.
    """

    children: Mapping[ObjectKey, Object] = field(default_factory=dict)
    references: Mapping[ObjectKey, Mapping[str, bytes] | None] = field(default_factory=dict)
    replica_sets: tuple[Object, ...] = ()
    states: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rewrites: Mapping[ObjectKey, Rewrite] = field(default_factory=dict)
    rivals: tuple[HostClaim, ...] = ()

    def of_kind(self, kind: str) -> Mapping[str, Object]:
        """All children of one kind, by name."""
        return self._by_kind.get(kind, {})

    @cached_property
    def _by_kind(self) -> Mapping[str, Mapping[str, Object]]:
        found: dict[str, dict[str, Object]] = {}
        for key, child in self.children.items():
            found.setdefault(key.kind, {})[key.name] = child
        return found
