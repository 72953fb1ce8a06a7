"""The fences' protocol as a machine of atomic steps, to be explored in full.

Each step is what the protocol does in one statement of the server's, or one thing that can go
wrong. Steps of different processes interleave in every order, so that any may be delayed for any
time: a stopped process is one whose steps do not come, and so is one that lets others go first.
Sessions end on the server without the client knowing (a terminated backend, a partition), and
clients end without the server knowing (a dead node). `Rules` can leave out one rule at a time; then
the exploration must find a violation.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Client = Literal["off", "entering", "waiting", "running", "admitting", "superseded", "gone"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The protocol's rules; each False one is a protocol that must turn out wrong."""

    connections_hold: bool = True
    """Every connection holds the fences, not the lock session alone."""
    admission_is_atomic: bool = True
    """Nobody enters between a connection's look at its lock session and its own locks."""
    epochs_are_recorded: bool = True
    """The highest epoch entered is remembered after all of its processes have died."""
    contents_are_recorded: bool = True
    """So is what its processes agreed on."""
    names_are_exclusive: bool = True
    """One process of a name at a time."""
    waiters_wake: bool = True
    """A waiter learns that whom it waits for has ended."""


class Spec(NamedTuple):
    """A process that may be started: its name, its epoch, and how often it may be.

    `content` is what the processes of its epoch agree on.
    """

    name: str
    epoch: int
    starts: int = 1
    content: str = ""


class Process(NamedTuple):
    """One process: what its client does, and which of its sessions live on the server.

    `generation` counts lock sessions, so that an earlier one is never taken for a later; `holder`
    is the one by which the client believes to hold its fences.
    """

    client: Client = "off"
    generation: int = 0
    holder: int = 0
    lock_session: int = 0
    connection: bool = False
    blocker: int = -1
    starts: int = 0


class World(NamedTuple):
    """All processes, and what the database remembers."""

    processes: tuple[Process, ...]
    recorded: int = 0
    content: str = ""
    faults: int = 0


class Step(NamedTuple):
    """A move of one process: its name for people, and the world after it."""

    what: str
    fault: bool
    after: World
    told: int | None = None
    """The highest epoch ever, as a look at the gate tells it; None for any other move."""


class Machine:
    """The moves of some processes under some rules, with a bounded number of faults."""

    def __init__(self, specs: tuple[Spec, ...], rules: Rules, *, faults: int) -> None:
        self.specs = specs
        self.rules = rules
        self.faults = faults

    def first(self) -> World:
        return World(tuple(Process() for _ in self.specs))

    def holds(self, process: Process) -> bool:
        """Whether the server sees locks of this process's fences."""
        return process.lock_session > 0 or (process.connection and self.rules.connections_hold)

    def can_write(self, process: Process) -> bool:
        """Whether a query of this process can still run on the server."""
        return process.connection

    def steps(self, world: World) -> Iterator[Step]:
        for index in range(len(self.specs)):
            yield from self._client_steps(world, index)
            if world.faults < self.faults:
                yield from self._faults(world, index)

    def _client_steps(self, world: World, index: int) -> Iterator[Step]:
        process, spec = world.processes[index], self.specs[index]

        def step(
            what: str, changed: Process, recorded: int = world.recorded, told: int | None = None
        ) -> Step:
            text = f"{spec.name}/{spec.epoch}{spec.content} {what}"
            after = _with(world, index, changed)._replace(recorded=recorded)
            if recorded > world.recorded:
                after = after._replace(content=spec.content)
            return Step(text, False, after, told)

        match process.client:
            case "off" if process.starts < spec.starts:
                yield step("starts", process._replace(client="entering", starts=process.starts + 1))
            case "entering":
                yield self._enter(world, index, step)
            case "waiting" if self.rules.waiters_wake and not self.holds(
                world.processes[process.blocker]
            ):
                yield step("wakes", process._replace(client="entering", blocker=-1))
            case "running":
                if not process.connection:
                    yield from self._admit(process, step)
                if process.lock_session != process.holder:
                    # It cuts its connections, and whatever the server still runs ends later.
                    yield step("notices", process._replace(client="entering", holder=0))
                yield step("leaves", process._replace(client="gone", holder=0))
            case "admitting":
                # Only where admission is not atomic: the look is past, the locks come now.
                yield step("locks", process._replace(client="running", connection=True))
        if process.connection and process.client not in {"running", "admitting"}:
            yield step("'s cut connection ends", process._replace(connection=False))
        if process.lock_session and process.holder != process.lock_session:
            yield step("'s lock session ends", process._replace(lock_session=0))

    def _admit(self, process: Process, step: Callable[..., Step]) -> Iterator[Step]:
        if process.lock_session != process.holder:
            return
        if self.rules.admission_is_atomic:
            yield step("connects", process._replace(connection=True))
        else:
            yield step("looks", process._replace(client="admitting"))

    def _enter(self, world: World, index: int, step: Callable[..., Step]) -> Step:
        process, spec = world.processes[index], self.specs[index]
        live = [other for other, its in enumerate(world.processes) if self.holds(its)]
        recorded = world.recorded if self.rules.epochs_are_recorded else 0
        known = max([recorded, *(self.specs[other].epoch for other in live)])
        other_life = recorded == spec.epoch and world.content != spec.content
        if known > spec.epoch or (other_life and self.rules.contents_are_recorded):
            return step("is superseded", process._replace(client="superseded"), told=known)
        for other in live:
            name, epoch = self.specs[other].name, self.specs[other].epoch
            if epoch != spec.epoch or (self.rules.names_are_exclusive and name == spec.name):
                return step(
                    f"waits for {name}/{epoch}",
                    process._replace(client="waiting", blocker=other),
                    told=known,
                )
        generation = process.generation + 1
        entered = process._replace(
            client="running", generation=generation, holder=generation, lock_session=generation
        )
        return step("enters", entered, max(world.recorded, spec.epoch), told=spec.epoch)

    def _faults(self, world: World, index: int) -> Iterator[Step]:
        process, spec = world.processes[index], self.specs[index]

        def fault(what: str, changed: Process) -> Step:
            after = _with(world, index, changed)._replace(faults=world.faults + 1)
            return Step(f"{spec.name}/{spec.epoch} {what}", True, after)

        if process.lock_session:
            yield fault("loses its lock session", process._replace(lock_session=0))
        if process.client not in {"off", "gone"}:
            # Killed: what runs on the server runs on for a while.
            again: Client = "off" if process.starts < spec.starts else "gone"
            yield fault("is killed", process._replace(client=again, holder=0, blocker=-1))
        if index == 0 and any(self.holds(its) for its in world.processes):
            ended = tuple(its._replace(lock_session=0, connection=False) for its in world.processes)
            after = world._replace(processes=ended, faults=world.faults + 1)
            yield Step("PostgreSQL restarts", True, after)


def _with(world: World, index: int, changed: Process) -> World:
    before, after = world.processes[:index], world.processes[index + 1 :]
    return world._replace(processes=(*before, changed, *after))


@dataclasses.dataclass(frozen=True)
class Exploration:
    """Every world that can be reached, with the steps out of it."""

    machine: Machine
    steps: dict[World, tuple[Step, ...]]
    parents: dict[World, tuple[World, str] | None]

    def story(self, world: World) -> list[str]:
        """The shortest way to a world, in words."""
        told: list[str] = []
        at = self.parents[world]
        while at is not None:
            world, what = at
            told.append(what)
            at = self.parents[world]
        return told[::-1]

    def two_epochs(self) -> list[str] | None:
        """The story of a world in which queries of two epochs, or of two of a name, can run.

        Two that go by one epoch and do not agree are of two epochs, too.
        """
        for world in self.steps:
            writing = [
                spec
                for spec, process in zip(self.machine.specs, world.processes, strict=True)
                if self.machine.can_write(process)
            ]
            if len({(spec.epoch, spec.content) for spec in writing}) > 1 or len(
                {spec.name for spec in writing}
            ) < len(writing):
                return self.story(world)
        return None

    def backwards(self) -> list[str] | None:
        """The story of a process that entered after a later epoch had been."""
        for world, steps in self.steps.items():
            for step in steps:
                entered = _entered(self.machine, world, step.after)
                if entered is not None and entered < world.recorded:
                    return [*self.story(world), step.what]
        return None

    def misled(self) -> list[str] | None:
        """The story of a look that told another epoch than the highest ever entered."""
        for world, steps in self.steps.items():
            for step in steps:
                if step.told not in {None, step.after.recorded}:
                    return [*self.story(world), step.what]
        return None

    def stuck(self) -> list[str] | None:
        """The story of a world from which the latest epoch cannot come to run without a fault.

        Only processes that still may start count, and only those of the latest epoch among them.
        """
        before: dict[World, list[World]] = {world: [] for world in self.steps}
        good: deque[World] = deque()
        for world, steps in self.steps.items():
            for step in steps:
                if not step.fault:
                    before[step.after].append(world)
            if self._serves_latest(world):
                good.append(world)
        reached = set(good)
        while good:
            for world in before[good.popleft()]:
                if world not in reached:
                    reached.add(world)
                    good.append(world)
        lost = next((world for world in self.steps if world not in reached), None)
        return None if lost is None else self.story(lost)

    def _serves_latest(self, world: World) -> bool:
        pairs = list(zip(self.machine.specs, world.processes, strict=True))
        able = [spec.epoch for spec, its in pairs if its.client not in {"gone", "superseded"}]
        if not able or max(able) < world.recorded:
            return True
        return any(
            its.client == "running" and its.connection and its.holder == its.lock_session
            for spec, its in pairs
            if spec.epoch == max(able)
        )


def _entered(machine: Machine, before: World, after: World) -> int | None:
    for spec, was, became in zip(machine.specs, before.processes, after.processes, strict=True):
        if became.generation > was.generation:
            return spec.epoch
    return None


def explore(machine: Machine) -> Exploration:
    """Visit every reachable world, nearest first."""
    first = machine.first()
    parents: dict[World, tuple[World, str] | None] = {first: None}
    steps: dict[World, tuple[Step, ...]] = {}
    ahead = deque([first])
    while ahead:
        world = ahead.popleft()
        steps[world] = tuple(machine.steps(world))
        for step in steps[world]:
            if step.after not in parents:
                parents[step.after] = (world, step.what)
                ahead.append(step.after)
    return Exploration(machine, steps, parents)
