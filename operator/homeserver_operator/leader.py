"""Leadership: one Lease, so that only one of several operators writes.

The holder may write until a deadline on its own monotonic clock that ends before any other process
may take over; no clocks are compared between machines. A lost Lease is never taken again by the
same process: it exits and starts afresh.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from homeserver_operator.api.world import Object
from homeserver_operator.cluster import ApiError, Cluster, LeadershipLostError
from homeserver_operator.metrics import Metrics
from homeserver_operator.resources import LEASE

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times in seconds.

    A Lease that nobody renewed for `duration` may be taken. The holder renews every `renew`, and
    stops writing `deadline` after the last renewal that it *sent*; the difference to `duration` is
    the margin for a write on its way and for clocks that run at different speeds. Others look every
    `poll`. Take-over after a crash: at most `duration` + `poll`; after a release: `poll`.
    """

    duration: float = 8.0
    deadline: float = 6.0
    renew: float = 2.0
    poll: float = 1.0


class Leader:
    """Holds or awaits the Lease `name`. `cluster` must not be guarded by this very leader."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float],
        metrics: Metrics,
        timing: Timing | None = None,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._metrics = metrics
        self._timing = timing or Timing()
        self._lease: Object | None = None
        self._deadline: float | None = None
        metrics.leader.set(0)

    def guard(self) -> float:
        """Seconds for which writing is allowed; raises LeadershipLostError if there are none."""
        left = 0.0 if self._deadline is None else self._deadline - self._clock()
        if left <= 0:
            msg = "the Lease was not renewed in time; another operator may be writing"
            raise LeadershipLostError(msg)
        return left

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        seen: Mapping[str, Any] | None = None
        seen_at = self._clock()
        holder: str | None = None
        while True:
            try:
                async with asyncio.timeout(self._timing.renew):
                    lease = await self._cluster.get(LEASE, self._namespace, self._name)
                    spec = (lease or {}).get("spec") or {}
                    if spec != seen:
                        seen, seen_at = spec, self._clock()
                    if self._free(spec, seen_at) and await self._take(lease):
                        return
            except (ApiError, TimeoutError) as error:
                log.warning("reading or taking the Lease: %s", error or "no answer in time")
            else:
                if spec.get("holderIdentity") != holder:
                    holder = spec.get("holderIdentity")
                    log.info("waiting for the Lease, held by %s", holder)
            await asyncio.sleep(self._timing.poll)

    async def hold(self) -> None:
        """Renew for ever; raises LeadershipLostError when the Lease was lost or not renewed."""
        pause = self._timing.renew
        while True:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(self._timing.renew):
                    await self._renew()
                pause = self._timing.renew
            except (ApiError, TimeoutError) as error:
                log.warning("renewing the Lease: %s", error or "no answer in time")
                pause = self._timing.renew / 4
            try:
                self.guard()
            except LeadershipLostError:
                self._lose()
                raise

    async def release(self) -> None:
        """Give the Lease up, so that a successor takes over at once; does nothing without it."""
        if self._lease is None or self._deadline is None:
            return
        lease = self._lease
        # First the right to write, then the Lease.
        self._lose()
        try:
            await self._put(lease, holderIdentity="", leaseDurationSeconds=1)
        except ApiError as error:
            log.warning("releasing the Lease: %s", error)
        else:
            log.info("released the Lease")

    def _free(self, spec: Mapping[str, Any], seen_at: float) -> bool:
        # Our own name is there if the answer to taking it was lost on its way.
        if spec.get("holderIdentity") in {None, "", self._identity}:
            return True
        lasts = float(spec.get("leaseDurationSeconds") or self._timing.duration)
        return self._clock() - seen_at > lasts

    async def _take(self, lease: Object | None) -> bool:
        sent, now = self._clock(), _micro_time()
        spec = (lease or {}).get("spec") or {}
        wanted: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._timing.duration),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (lease is not None),
        }
        try:
            if lease is None:
                taken = await self._cluster.create(LEASE, self._namespace, self._new(wanted))
            else:
                taken = await self._put(lease, **wanted)
        except ApiError as error:
            if error.status == 409:
                return False  # somebody was faster
            raise
        self._hold_since(taken, sent)
        self._metrics.leader.set(1)
        log.info("leading as %s", self._identity)
        return True

    async def _renew(self) -> None:
        if self._lease is None:
            return
        sent = self._clock()
        try:
            renewed = await self._put(self._lease, renewTime=_micro_time())
        except ApiError as error:
            if error.status not in {404, 409}:
                raise
            # Somebody else took it, or somebody only touched it, or an answer of ours was lost.
            lease = await self._cluster.get(LEASE, self._namespace, self._name)
            if lease is None or lease["spec"].get("holderIdentity") != self._identity:
                self._lose()
                return
            renewed = await self._put(lease, renewTime=_micro_time())
        self._hold_since(renewed, sent)

    async def _put(self, lease: Object, **changed: object) -> Object:
        """Replace the Lease on the resourceVersion that we know, so that nobody is overrun."""
        return await self._cluster.replace(
            LEASE, self._namespace, {**lease, "spec": {**lease["spec"], **changed}}
        )

    def _hold_since(self, lease: Object, sent: float) -> None:
        self._lease, self._deadline = lease, sent + self._timing.deadline

    def _lose(self) -> None:
        self._lease, self._deadline = None, None
        self._metrics.leader.set(0)

    def _new(self, spec: Mapping[str, Any]) -> Object:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }


def _micro_time() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
