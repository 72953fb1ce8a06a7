"""Remembers which HomeServer has which hosts, and wakes who waits for one.

An index of what reconciles have decided: each looks at its own HomeServer alone. It is forgotten
with the process, and the next one begins with what the HomeServers' statuses say, or their objects.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress

from homeserver_operator import observe
from homeserver_operator.api.world import HostClaim, Key, Object, World
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.hosts import claim_of, was_accepted
from homeserver_operator.resources import HOMESERVER, PAGE

log = logging.getLogger(__name__)


class HostClaims:
    """Of all HomeServers. `wake` is called with those whom another's change concerns."""

    def __init__(self, wake: Callable[[Key], None] = lambda _key: None) -> None:
        self._wake = wake
        self._claims: dict[Key, HostClaim] = {}
        self._at: dict[str, set[Key]] = {}

    async def learn(self, cluster: Cluster, namespaces: tuple[str, ...]) -> None:
        """Read all HomeServers once; to be done before the first is let have a host."""
        for namespace in namespaces or (None,):
            try:
                async with aclosing(cluster.pages(HOMESERVER, namespace, limit=PAGE)) as pages:
                    async for page in pages:
                        for body in page.items:
                            await self._learn(cluster, body)
            except ApiError as error:
                # Then a host may be given twice, but nobody goes without care for it.
                log.warning(
                    "whose the hosts in %s are is not known: %s",
                    namespace or "all namespaces",
                    error,
                )

    def of_others(self, key: Key, hosts: Iterable[str]) -> tuple[HostClaim, ...]:
        """What others than `key` have to do with these hosts."""
        keys = {other for host in hosts for other in self._at.get(host, ())} - {key}
        return tuple(self._claims[other] for other in sorted(keys))

    def note(self, claim: HostClaim) -> None:
        """Remember the newest claim of a HomeServer."""
        if claim != self._claims.get(claim.key):
            self._tell(claim.key, self._take(claim.key) | claim.hosts)
            self._put(claim)

    def forget(self, key: Key) -> None:
        """Of a HomeServer that is gone."""
        self._tell(key, self._take(key))

    async def _learn(self, cluster: Cluster, body: Object) -> None:
        if "deletionTimestamp" in body["metadata"]:
            return
        world = World()
        if body.get("status") and not was_accepted(body, lately=True):
            # It may have hosts of an older spec.
            try:
                world = await observe.entrances(cluster, body)
            except ApiError as error:
                # The others are to be learned of all the same.
                log.warning("which hosts %s had before is not known: %s", _named(body), error)
        # What no CRD of ours lets through is told by its own reconcile.
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            self._put(claim_of(body, world, accepted=was_accepted(body)))

    def _put(self, claim: HostClaim) -> None:
        self._claims[claim.key] = claim
        for host in claim.hosts:
            self._at.setdefault(host, set()).add(claim.key)

    def _take(self, key: Key) -> frozenset[str]:
        claim = self._claims.pop(key, None)
        hosts = claim.hosts if claim else frozenset()
        for host in hosts:
            self._at[host].discard(key)
            if not self._at[host]:
                del self._at[host]
        return hosts

    def _tell(self, key: Key, hosts: Iterable[str]) -> None:
        for other in self.of_others(key, hosts):
            self._wake(other.key)


def _named(body: Object) -> str:
    return "{namespace}/{name}".format(**body["metadata"])
