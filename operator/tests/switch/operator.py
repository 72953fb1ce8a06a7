"""The operator: observe, decide, write one thing at a time; it may die around any write.

What it knows, it has observed in this life. Who decides is the brain's business: the product's
core, or a smaller one that the simulator is tried with.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple, Protocol

from tests.core.scenario import NOW
from tests.switch.kubelet import Kubelet
from tests.switch.objects import Change, ConflictError, Objects

from homeserver_operator.api.actions import Generate
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.world import Defaults, Object, World
from homeserver_operator.pipeline import decide, generate, report

START = datetime.fromisoformat(NOW)


@dataclass(frozen=True)
class Thought:
    """What came of one look at the world."""

    orders: tuple[Generate, ...] = ()
    status: Object | None = None
    steps: tuple[Any, ...] = ()
    requeue_after: float | None = None

    @property
    def idle(self) -> bool:
        return not self.orders and self.status is None and not self.steps


class Brain(Protocol):
    """Who decides; without memory."""

    def think(self, body: Object, world: World, now: datetime, /) -> Thought:
        """Decide on a HomeServer and the world around it."""


@dataclass(frozen=True)
class Core:
    """The product's own."""

    defaults: Defaults

    def think(self, body: Object, world: World, now: datetime) -> Thought:
        if orders := generate(body, world):
            return Thought(orders=orders)
        decision = decide(body, world, self.defaults, now.isoformat())
        told = report(body, decision, world, now=now.isoformat())
        return Thought((), told.status, decision.plan.steps, decision.requeue_after)


class Moment(Enum):
    """When, around a write, the operator dies."""

    BEFORE = "before"
    AFTER = "after"


class Death(NamedTuple):
    """Death at the write with this number, counted from 0 since the operator was last told to."""

    write: int
    moment: Moment


@dataclass
class Operator:
    """One life after the other. `split`: it reads kind after kind, and the world moves between."""

    brain: Brain
    split: bool = False
    death: Death | None = None
    writes: list[str] = field(default_factory=list)
    awake: bool = True
    requeue_after: float | None = None
    now: datetime = START
    _writing: deque[tuple[str, Any]] = field(default_factory=deque)
    _seen: dict[str, Any] = field(default_factory=dict)

    def notice(self, change: Change) -> None:
        """A watch wakes it. Of what it does not watch, it learns only when it looks."""
        kind = BY_KIND.get(change.key.kind)
        if kind and kind.watched and not (kind.restless and change.before and change.after):
            self.awake = True

    @property
    def committed(self) -> bool:
        """Whether it has let old processes go since its `writes` were last cleared, or may soon.

        It may if it has decided so, or looks at what was asked for a moment ago.
        """
        going = ("scale", "delete Deployment")
        return bool(self._seen) or any(each.startswith(going) for each in self._decided)

    def starts(self, deployment: str) -> bool:
        """Whether it has applied a Deployment since its `writes` were last cleared, or is to."""
        return any(each.startswith(f"apply Deployment/{deployment}:") for each in self._decided)

    def forget(self, deployment: str) -> None:
        """What it wrote of a Deployment until now is not to count as written."""
        mark = f" Deployment/{deployment}:"
        self.writes[:] = [each for each in self.writes if mark not in each]

    @property
    def _decided(self) -> list[str]:
        return [*self.writes, *(_words(kind, what) for kind, what in self._writing)]

    @property
    def busy(self) -> bool:
        """Whether it has something to do without time passing."""
        return bool(self._writing or self._seen or self.awake)

    @property
    def sleeping(self) -> bool:
        """Whether it will look again by itself."""
        return not self.busy and self.requeue_after is not None

    def step(self, objects: Objects, kubelet: Kubelet) -> str:
        """Its next step; what it was, in words."""
        if self._writing:
            return self._write(objects)
        return self._observe(objects, kubelet)

    def wake_up(self) -> None:
        """The time has come at which it wanted to look again."""
        self.now += timedelta(seconds=self.requeue_after or 0)
        self.awake = True

    def die(self) -> None:
        """Lose what it knows; the next life begins by looking."""
        self._writing.clear()
        self._seen.clear()
        self.awake = True
        self.requeue_after = None

    def _observe(self, objects: Objects, kubelet: Kubelet) -> str:
        if "body" not in self._seen:
            self.awake = False
            self._seen |= {"body": objects.homeserver}
        for name in ("children", "replica_sets", "states"):
            if name not in self._seen:
                self._seen[name] = _read(name, objects, kubelet, self._seen)
                if self.split and name != "states":
                    return f"reads {name}"
        body = self._seen.pop("body")
        world = World(references=dict(objects.references), **self._seen)
        self._seen = {}
        thought = self.brain.think(body, world, self.now)
        self.requeue_after = thought.requeue_after
        self._writing.extend(("generate", order) for order in thought.orders)
        if thought.orders:
            self.awake = True
        if thought.status is not None:
            self._writing.append(("status", thought.status))
        self._writing.extend(("step", step) for step in thought.steps)
        return f"decides on {len(self._writing)} writes"

    def _write(self, objects: Objects) -> str:
        kind, what = self._writing.popleft()
        number = len(self.writes)
        if self.death == (number, Moment.BEFORE):
            self.death = None
            self.die()
            return "dies before a write"
        words = _words(kind, what)
        self.writes.append(words)
        try:
            match kind:
                case "generate":
                    objects.create(what)
                case "status":
                    objects.homeserver = {**objects.homeserver, "status": what}
                case _:
                    objects.write(what)
        except ConflictError as error:
            self.die()
            return f"is refused: {error}"
        if self.death == (number, Moment.AFTER):
            self.death = None
            self.die()
            return f"{words}, and dies"
        return words


def _words(kind: str, what: Any) -> str:
    if kind == "status":
        return kind
    if isinstance(what, Generate):
        return f"generate {what.manifest['metadata']['name']}"
    return f"{type(what).__name__.lower()} {what.key.kind}/{what.key.name}: {what.reason}"


def _read(name: str, objects: Objects, kubelet: Kubelet, seen: dict[str, Any]) -> Any:
    match name:
        case "children":
            return objects.children
        case "replica_sets":
            return objects.replica_sets
    # Only pods that were listed, Running and with an address, are asked.
    return {
        key.name: machine.launcher.state()
        for key, pod in seen["children"].items()
        if key.kind == "Pod" and pod.get("status", {}).get("phase") == "Running"
        if (machine := kubelet.machines.get(key.name))
        if machine.container == "running" and machine.launcher
        if machine.launcher.phase != "ended"
    }
