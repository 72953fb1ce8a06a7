"""Reads the cluster for one reconcile: the HomeServer, what is labelled as its, what it refers to.

Reads only, decides nothing. One LIST per kind, never a GET per child.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final, TypeVar

from homeserver_operator.api import names
from homeserver_operator.api.actions import Plan
from homeserver_operator.api.kinds import MANAGED_KINDS, REPLICA_SET, ManagedKind
from homeserver_operator.api.world import Key, Object, ObjectKey, World
from homeserver_operator.cluster import Cluster
from homeserver_operator.ownership import owned_by
from homeserver_operator.resources import HOMESERVER, kind_of
from homeserver_operator.states import States

AT_ONCE: Final = 2
"""Requests of one reconcile in flight; several reconciles run beside each other.

Each keeps a TLS connection with a buffer of 256 kB, and the API server answers in milliseconds.
"""

T = TypeVar("T")


async def homeserver(cluster: Cluster, key: Key) -> Object | None:
    """Read the HomeServer itself, never from a watch event; None if it was deleted."""
    return await cluster.get(HOMESERVER, key.namespace, key.name)


async def world(
    cluster: Cluster, states: States | None, server: Object, references: frozenset[ObjectKey]
) -> World:
    """Read everything that one reconcile may want to know; without `states` pods are not asked."""
    *of_managed_kinds, replica_sets = await _listed(cluster, server, (*MANAGED_KINDS, REPLICA_SET))
    children = _by_key(of_managed_kinds)
    pods = (child for key, child in children.items() if key.kind == "Pod")
    return World(
        children=children,
        references=await _references(
            cluster, server["metadata"]["namespace"], references, children
        ),
        replica_sets=replica_sets,
        states=await states.of(pods) if states else {},
    )


async def entrances(cluster: Cluster, server: Object) -> World:
    """Read only what leads traffic to a HomeServer."""
    kinds = tuple(kind for kind in MANAGED_KINDS if kind.entrance)
    return World(children=_by_key(await _listed(cluster, server, kinds)))


async def strangers(cluster: Cluster, server: Object, plan: Plan) -> tuple[ObjectKey, ...]:
    """Find the objects that the plan would create but that exist and are somebody else's."""
    namespace = server["metadata"]["namespace"]
    creations = [apply.key for apply in plan.applies if apply.uid is None]
    found = await _together(
        partial(cluster.get, kind_of(key.kind), namespace, key.name, metadata_only=True)
        for key in creations
    )
    return tuple(
        key
        for key, existing in zip(creations, found, strict=True)
        if existing is not None and not owned_by(existing, server)
    )


async def _listed(
    cluster: Cluster, server: Object, kinds: tuple[ManagedKind, ...]
) -> list[tuple[Object, ...]]:
    """What is labelled as a HomeServer's, by kind."""
    namespace, name = server["metadata"]["namespace"], server["metadata"]["name"]
    labels = f"{names.HOMESERVER_LABEL}={name},{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
    return await _together(partial(cluster.list, kind, namespace, labels=labels) for kind in kinds)


def _by_key(listed: Iterable[tuple[Object, ...]]) -> dict[ObjectKey, Object]:
    return {
        ObjectKey(child["kind"], child["metadata"]["name"]): child
        for items in listed
        for child in items
    }


async def _references(
    cluster: Cluster,
    namespace: str,
    references: frozenset[ObjectKey],
    children: Mapping[ObjectKey, Object],
) -> dict[ObjectKey, Mapping[str, bytes] | None]:
    """Data of what the spec names; our own generated objects have been listed already."""
    wanted = sorted(references)
    missing = [key for key in wanted if key not in children]
    read = await _together(
        partial(cluster.get, kind_of(key.kind), namespace, key.name) for key in missing
    )
    found = dict(zip(missing, read, strict=True))
    return {key: _data(children.get(key) or found.get(key)) for key in wanted}


def _data(source: Object | None) -> Mapping[str, bytes] | None:
    """Decode the data of a Secret or ConfigMap; what is no base64 has never been written by one."""
    if source is None:
        return None
    data = source.get("data") or {}
    if source.get("kind") == "Secret":
        return {key: _decoded(value) for key, value in data.items()}
    binary = source.get("binaryData") or {}
    return {key: value.encode() for key, value in data.items()} | {
        key: _decoded(value) for key, value in binary.items()
    }


def _decoded(value: str | None) -> bytes:
    try:
        return base64.b64decode(value or "", validate=True)
    except binascii.Error:
        return b""


async def _together(reads: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make all calls, a few at a time; the first failure ends the rest and is raised as it is."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(read: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await read()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(read)) for read in reads]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
