"""Stories over the in-memory cluster: what the shell does with the core's orders, without it."""

import copy
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.core import case, kstatus
from tests.core.cluster import FakeCluster

from homeserver_operator.api.names import APPROVED_PLAN_ANNOTATION
from homeserver_operator.api.world import Object
from homeserver_operator.pipeline import Decision, Report, decide, generate, report

ROUNDS = 40
"""More than any change needs: new pods, the old ones' end, each wave, pruning, nothing."""

NOW = "2026-02-03T04:05:06Z"


class Scenario:
    """A HomeServer in a cluster; `edit` it, `step` through reconciles, or `converge`."""

    def __init__(self, name: str = "minimal", body: Object | None = None) -> None:
        loaded = case.load(name)
        self.body: dict[str, Any] = dict(body or loaded.body)
        self.users = loaded.users
        self.cluster = FakeCluster(loaded.users)
        self.defaults = case.DEFAULTS
        self.now = NOW

    def edit(self, **spec: Any) -> None:
        """Set fields of the spec, as a user would; None takes one away."""
        merged = {**self.body["spec"], **spec}
        self.replace({name: value for name, value in merged.items() if value is not None})

    def replace(self, spec: Mapping[str, Any]) -> None:
        metadata = self.body["metadata"]
        newer = {**metadata, "generation": metadata["generation"] + 1}
        self.body = {**self.body, "metadata": newer, "spec": dict(spec)}

    def approve(self, plan: str | None = None) -> None:
        """`kubectl homeserver approve`, of the plan that is held if none is named."""
        annotations = {APPROVED_PLAN_ANNOTATION: plan or self.body["status"]["plan"]["id"]}
        metadata = self.body["metadata"]
        self.body = {**self.body, "metadata": {**metadata, "annotations": annotations}}

    def decide(self) -> Decision:
        return decide(self.body, self.cluster.world, self.defaults, self.now)

    def step(self) -> tuple[Decision, Report]:
        """One reconcile: secrets, plan, status."""
        for order in generate(self.body, self.cluster.world):
            self.cluster.create(order)
        world = self.cluster.world
        decision = decide(self.body, world, self.defaults, self.now)
        told = report(self.body, decision, world, now=self.now)
        self.cluster.execute(decision.plan)
        if told.status is not None:
            self.body = {**self.body, "status": told.status}
        kstatus.check(self.body)
        return decision, told

    def converge(self) -> "Scenario":
        """Reconcile and let pods come up until nothing is left to do."""
        for _ in range(ROUNDS):
            decision, told = self.step()
            if decision.plan.empty and told.status is None:
                return self
            self.cluster.settle()
        raise AssertionError(f"still busy with {decision.plan}")

    def templates(self) -> dict[str, Any]:
        """The live pod template of each Deployment, by its name."""
        deployments = self.cluster.world.of_kind("Deployment")
        return {name: live["spec"]["template"] for name, live in deployments.items()}

    def condition(self, kind: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(
            item for item in self.body["status"]["conditions"] if item["type"] == kind
        )
        return found


def running(name: str = "minimal", body: Object | None = None) -> Scenario:
    """A HomeServer that is ready and has nothing left to do; each caller gets its own."""
    return copy.deepcopy(_running(name, json.dumps(body)))


@cache
def _running(name: str, body: str) -> Scenario:
    return Scenario(name, json.loads(body)).converge()
