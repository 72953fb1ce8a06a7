"""What is known about this process, shared between the reactor's thread and the probes' thread.

Holds facts, and the times at which things were reached; judges nothing and must hold no secret.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Phase = Literal["warming", "superseded", "migrating", "serving", "draining"]
Stage = Literal["warm", "entered", "serving", "ready"]
"""Of a start: configuration and database accepted, all imported; fences held; Synapse listens; it
takes part in replication."""
STAGES: tuple[Stage, ...] = get_args(Stage)

_LONGEST_WAIT = 500
"""Characters of what is waited for: a database's refusal can go on for pages."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replication:
    """How this process stands towards the others' streams."""

    connected: bool = False
    """Subscribed to Redis."""
    missing: tuple[str, ...] = ()
    """Streams of others whose position it has not caught up with on this connection."""

    @property
    def caught_up(self) -> bool:
        """Takes part in replication like everybody else."""
        return self.connected and not self.missing


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseFacts:
    """What the operator, which has no database access, wants to know."""

    schema_version: int | None = None
    """None while nobody has looked, or where main has not yet made a schema."""
    compat_version: int | None = None
    """The oldest schema version whose Synapse can use the database."""
    image_schema_version: int | None = None
    """What this image brings the schema to; less than the database's compat_version: it cannot."""
    max_connections: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One moment of the process; immutable, so it can be read without a lock."""

    name: str
    role: str
    revision: str | None
    synapse: str
    phase: Phase = "warming"
    warm: bool = False
    waiting_for: str | None = None
    replication: Replication = Replication()
    database: DatabaseFacts = DatabaseFacts()
    fences: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """The epochs of the fences that this process holds; none while it has lost them."""
    recorded: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """The highest epochs that its fences ever had, as it last saw them."""
    losses: int = 0
    """How often it lost its fences."""
    retakes: int = 0
    """How often it got them back."""
    shard_maps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Digests of the shard maps that it knows, by fence."""
    superseded_by: tuple[str, int] | None = None
    """A fence and its later epoch, for a process that must never run."""
    heartbeat: float | None = None
    """Monotonic seconds of the reactor's last sign of life; None before it first ran."""
    behind_since: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Monotonic seconds since when each stream in `replication.missing` has been there."""
    started: float = 0.0
    """When the process began, in Unix time."""
    reached: Mapping[Stage, float] = dataclasses.field(default_factory=dict)
    """Seconds from there to each stage that was reached."""

    def between(self, earlier: Stage, later: Stage) -> float | None:
        """Seconds from one stage to another, None before both were reached."""
        if earlier in self.reached and later in self.reached:
            return self.reached[later] - self.reached[earlier]
        return None

    def document(self) -> dict[str, Any]:
        """What GET /state answers."""
        return {
            "name": self.name,
            "role": self.role,
            "revision": self.revision,
            "phase": self.phase,
            "waiting_for": _shortened(self.waiting_for),
            "synapse": self.synapse,
            "replication": {
                "connected": self.replication.connected,
                "caught_up": self.replication.caught_up,
            },
            "database": dataclasses.asdict(self.database),
            "fences": dict(self.fences),
            "recorded": dict(self.recorded),
            "superseded_by": (
                dict(zip(("fence", "epoch"), self.superseded_by, strict=True))
                if self.superseded_by
                else None
            ),
            "shard_maps": dict(self.shard_maps),
            "started": round(self.started, 3),
            "seconds": {
                stage: round(self.reached[stage], 3) if stage in self.reached else None
                for stage in STAGES
            },
        }


def _shortened(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST_WAIT:
        return text
    return f"{text[: _LONGEST_WAIT - 1]}…"


def process_age() -> float:
    """Seconds since this process began: the interpreter's own start is part of a pod's."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return max(0.0, age)


class State:
    """The current snapshot; any thread may read or change it.

    `age` has the seconds for which the process has been there.
    """

    def __init__(
        self, first: Snapshot, *, age: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._snapshot = dataclasses.replace(first, started=time.time() - age)
        self._clock = clock
        self._began = clock() - age

    @property
    def now(self) -> Snapshot:
        """The present snapshot."""
        return self._snapshot

    def change(self, **fields: Any) -> None:
        """Replaces the named fields of the snapshot, all at once."""
        with self._lock:
            self._snapshot = dataclasses.replace(self._snapshot, **fields)

    def reach(self, stage: Stage, **fields: Any) -> None:
        """Notes that a stage was reached, the first time, with what changes by it."""
        with self._lock:
            reached = {stage: self._clock() - self._began} | dict(self._snapshot.reached)
            self._snapshot = dataclasses.replace(self._snapshot, reached=reached, **fields)

    def beat(self, replication: Replication) -> None:
        """A sign of life from the reactor, with what it sees of replication."""
        clock, before = self._clock(), self._snapshot.behind_since
        behind = {stream: before.get(stream, clock) for stream in replication.missing}
        self.change(heartbeat=clock, replication=replication, behind_since=behind)
        if replication.caught_up and "ready" not in self._snapshot.reached:
            self.reach("ready")
