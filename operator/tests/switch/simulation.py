"""All of it together: whose step is next is drawn, and everything is judged after each.

Deterministic: the same seed gives the same story. Each run draws how fast everybody is, so that
stories differ by much.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from tests.switch.deployments import DeploymentController
from tests.switch.fences import Database
from tests.switch.kubelet import Kubelet
from tests.switch.objects import Objects
from tests.switch.operator import Operator
from tests.switch.oracle import Oracle
from tests.switch.replicasets import ReplicaSetController
from tests.switch.services import Proxy

from homeserver_operator.api.world import ObjectKey

PATIENCE = 30_000
"""Steps after which a world that is still moving will not come to rest."""

NAPS = 3
"""How often in a row an operator may look again by itself while nothing else moves."""


class RestlessError(AssertionError):
    """The world does not come to rest, or rests only because nobody wakes the operator."""


@dataclass
class Simulation:
    """One namespace and everybody who works in it. `prompt`: kube-proxy knows at once."""

    objects: Objects
    operator: Operator
    kubelet: Kubelet = field(default_factory=Kubelet)
    database: Database = field(default_factory=Database)
    deployments: DeploymentController = field(default_factory=DeploymentController)
    replica_sets: ReplicaSetController = field(default_factory=ReplicaSetController)
    proxy: Proxy = field(default_factory=Proxy)
    oracle: Oracle = field(default_factory=Oracle)
    prompt: bool = False
    held: frozenset[str] = frozenset()
    """Steps of launchers that do not come for now."""
    story: list[str] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311
    speeds: dict[str, float] = field(default_factory=dict)
    _garbage: list[ObjectKey] = field(default_factory=list)

    def fork(self, seed: int) -> Self:
        """The same world, from which another story goes on."""
        twin = copy.deepcopy(self)
        twin.story, twin.random = [], Random(seed)  # noqa: S311 - a story, no secret
        groups = ("operator", "deployments", "sets", "kubelet", "launchers", "database", "proxy")
        twin.speeds = {group: 4 ** twin.random.uniform(-1, 1) for group in groups}
        twin.speeds["operator"] /= 4
        if seed % 2:
            # Somebody is so slow that all the others wait for them.
            twin.speeds[twin.random.choice(groups)] /= 1000
        return twin

    # Running.

    def step(self) -> bool:
        """One step of anybody who can; False if nobody can."""
        groups = self._groups()
        if not groups:
            return False
        weights = [self.speeds.get(name, 1.0) for name, _items, _act in groups]
        name, items, act = self.random.choices(groups, weights)[0]
        item = self.random.choice(items)
        self.story.append(f"{name} {item}")
        act(item)
        self._after(name)
        return True

    def run(self, steps: int) -> None:
        """At most so many steps."""
        for _ in range(steps):
            if not self.step():
                return

    def settle(self) -> Self:
        """Until nobody has anything to do, and time passing changes nothing."""
        naps = 0
        for _ in range(PATIENCE):
            if self.step():
                continue
            if not self.operator.sleeping or naps == NAPS:
                return self
            writes = len(self.operator.writes)
            self.operator.wake_up()
            self.operate()
            while self.operator.busy:
                self.operate()
            naps = naps + 1 if len(self.operator.writes) == writes else 0
        raise RestlessError(self.tale())

    def rest(self) -> Self:
        """Until nobody has anything to do; no time passes."""
        for _ in range(PATIENCE):
            if not self.step():
                return self
        raise RestlessError(self.tale())

    def until(self, reached: Callable[[Self], bool]) -> Self:
        """Until something is so, with time passing where nobody has anything to do."""
        for _ in range(PATIENCE):
            if reached(self):
                return self
            if not self.step():
                if not self.operator.sleeping:
                    break
                self.operator.wake_up()
                self.operate()
        raise RestlessError(f"never came to be: {self.tale()}")

    def operate(self) -> None:
        self.story.append(f"operator {self.operator.step(self.objects, self.kubelet)}")
        self._after("operator")

    def tale(self, last: int = 40) -> str:
        return "\n".join(self.story[-last:])

    def _groups(self) -> list[tuple[str, list[Any], Callable[[Any], None]]]:
        objects, database, kubelet = self.objects, self.database, self.kubelet
        cut = [number for number, each in database.sessions.items() if each.cut]
        groups: list[tuple[str, list[Any], Callable[[Any], None]]] = [
            ("operator", ["goes on"] * self.operator.busy, lambda _: self._operate()),
            (
                "deployments",
                [*self.deployments.names],
                lambda name: self.deployments.sync(objects, name),
            ),
            (
                "sets",
                [*self.replica_sets.names],
                lambda name: self.replica_sets.sync(objects, name),
            ),
            (
                "kubelet",
                kubelet.steps(objects),
                lambda step: kubelet.act(step[0], step[1], objects, database),
            ),
            (
                "launchers",
                [
                    step
                    for step in kubelet.launcher_steps(objects, database)
                    if step[0] not in self.held
                ],
                lambda step: kubelet.advance(step[0], step[1], database),
            ),
            ("database", cut, self._end_session),
            ("proxy", [*self.proxy.behind], self._program),
            ("garbage", self._garbage, objects.delete),
        ]
        return [group for group in groups if group[1]]

    def _operate(self) -> None:
        self.story[-1] = f"operator {self.operator.step(self.objects, self.kubelet)}"

    def _end_session(self, number: int) -> None:
        del self.database.sessions[number]

    def _program(self, name: str) -> None:
        self.proxy.program(name, self.objects)
        self.oracle.check_service(name, self.objects)
        self.oracle.check_callers(name, self.objects, self.kubelet)

    def _after(self, group: str) -> None:
        if self.objects.changes:
            self.spread()
        if group in {"launchers", "database", "kubelet"}:
            self.oracle.check_database(self.database)
        self.oracle.listen(self.objects, self.kubelet, self.proxy)

    def spread(self) -> None:
        """Tell everybody what has been written."""
        changes, self.objects.changes = self.objects.changes, []
        for change in changes:
            self.kubelet.notice(change, self.database)
            self.deployments.notice(change)
            self.replica_sets.notice(change)
            self.operator.notice(change)
            self.oracle.notice(change, self.objects, self.kubelet)
            self.proxy.notice(change, self.objects)
        if any(change.after is None for change in changes) or self._garbage:
            self._garbage = list(self.objects.garbage())
        if self.prompt:
            for name in list(self.proxy.behind):
                self._program(name)

    # What people and fate do.

    def edit(self, **spec: Any) -> None:
        """Set fields of the spec; None takes one away."""
        merged = {**self.objects.homeserver["spec"], **spec}
        self.replace({name: value for name, value in merged.items() if value is not None})

    def replace(self, spec: dict[str, Any]) -> None:
        body = self.objects.homeserver
        metadata = {**body["metadata"], "generation": body["metadata"]["generation"] + 1}
        self.objects.homeserver = {**body, "metadata": metadata, "spec": spec}
        self.operator.awake = True
        self.story.append("people edit the spec")

    def lose_lock_session(self) -> None:
        """The server ends somebody's lock session."""
        locks = [number for number, each in self.database.sessions.items() if each.lock]
        if locks:
            number = self.random.choice(locks)
            self.story.append(f"fate ends a lock session of {self.database.sessions[number].pod}")
            del self.database.sessions[number]

    def crash_somebody(self) -> None:
        running = [
            name
            for name, machine in self.kubelet.machines.items()
            if machine.launcher and machine.container == "running"
        ]
        if running:
            name = self.random.choice(running)
            self.story.append(f"fate kills {name}")
            self.kubelet.crash(name, self.database)
