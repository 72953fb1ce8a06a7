"""The driver: observe, decide, apply, report. Each comment says whether a step needs the cluster.

Level-triggered: it may stop after any line and a later run goes on from what it observes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from homeserver_operator import apply, credentials, observe, pipeline
from homeserver_operator.api.world import Defaults, Key, Object, ObjectKey, World
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.host_claims import HostClaims
from homeserver_operator.hosts import wanted_hosts
from homeserver_operator.metrics import Metrics
from homeserver_operator.rewrites import Rewrites
from homeserver_operator.states import States
from homeserver_operator.status import APPLY_FAILED, WRITE_FAILED, Failure

STRANGERS_RECHECK: Final = 15.0
"""Seconds until somebody else's objects are looked for again: their going away wakes nobody."""

REWRITES_RECHECK: Final = 1.0
"""Seconds until the next look after something was applied in vain: what has changed nothing wakes
nobody, and Ready is to be said."""


class RefusedError(Exception):
    """The API server refused an object; said in the status, and tried again with backoff."""


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Brings HomeServers to the state that their specs ask for. `now` is the time as RFC 3339."""

    cluster: Cluster
    states: States
    defaults: Defaults
    metrics: Metrics
    now: Callable[[], str]
    rewrites: Rewrites = field(default_factory=Rewrites)
    host_claims: HostClaims = field(default_factory=HostClaims)

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one HomeServer; return the seconds until the next look.

        None is the usual resync, infinity never (it is gone). Raises ApiError, RefusedError and
        LeadershipLostError, all to be tried again.
        """
        # cluster: None means deleted, and owner references clean up
        server = await observe.homeserver(self.cluster, key)
        if server is None or server["metadata"].get("deletionTimestamp"):
            self.metrics.forget_homeserver(*key)
            self.rewrites.forget(key)
            self.host_claims.forget(key)
            return math.inf
        # cluster: one LIST per kind, GETs of what the spec names, GET /state of pods
        references = pipeline.references(server)
        world = await observe.world(self.cluster, self.states, server, references)
        # cluster: Secrets that come before everything else, created once in a HomeServer's life
        orders = pipeline.generate(server, world)
        taken = [await credentials.create(self.cluster, server, order) for order in orders]
        if orders:
            world = await observe.world(self.cluster, self.states, server, references)
        # pure, and at once: of two that want one host, the second sees what the first was given
        known = self.rewrites.known(key)
        rivals = self.host_claims.of_others(key, wanted_hosts(server))
        world = replace(world, rewrites=known, rivals=rivals)
        decision = pipeline.decide(server, world, self.defaults, self.now())
        self.host_claims.note(decision.claim)
        # cluster: one GET for each object that would be created
        strangers = tuple(key for key in taken if key) or await observe.strangers(
            self.cluster, server, decision.plan
        )
        # cluster: said before it is done, so that whoever waits for Ready never sees yesterday's
        await self._tell(server, decision, world, strangers=strangers)
        if strangers:
            return STRANGERS_RECHECK
        # cluster: the plan's writes, in order
        try:
            refusal = await apply.execute(
                self.cluster,
                server,
                decision.plan,
                answered=lambda step, answer: self.rewrites.note(key, step, answer),
            )
        except ApiError as error:
            if error.status >= 500:
                failure = Failure(WRITE_FAILED, error.message)
                await self._tell(server, decision, world, failure=failure)
            raise
        if refusal:
            await self._tell(server, decision, world, failure=Failure(APPLY_FAILED, refusal))
            raise RefusedError(refusal)
        if self.rewrites.known(key) != known:
            return REWRITES_RECHECK
        return decision.requeue_after

    async def _tell(
        self,
        server: Object,
        decision: pipeline.Decision,
        world: World,
        *,
        strangers: tuple[ObjectKey, ...] = (),
        failure: Failure | None = None,
    ) -> None:
        """Write the status if it differs, and post events for what changed in it."""
        report = pipeline.report(
            server, decision, world, strangers=strangers, failure=failure, now=self.now()
        )
        if report.status is not None and (
            refusal := await apply.status(self.cluster, server, report.status)
        ):
            # Processes must not go without care because of words.
            report = pipeline.report_refusal(server, report.status, refusal, now=self.now())
            if report.status is not None and await apply.status(
                self.cluster, server, report.status
            ):
                # Nothing that is said stays, so what is news now would be at every look.
                report = pipeline.Report(None)
        await apply.events(self.cluster, server, report.events)
        key = Key(server["metadata"]["namespace"], server["metadata"]["name"])
        self._count(key, report.status or server.get("status") or {})

    def _count(self, key: Key, status: Object) -> None:
        ready = any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or ()
        )
        self.metrics.homeserver_ready.labels(*key).set(1 if ready else 0)
