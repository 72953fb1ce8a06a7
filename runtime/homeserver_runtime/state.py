"""What is known about this process, shared between the reactor's thread and the probes' thread.

Holds facts and the time of the last heartbeat; judges nothing and must hold no secret.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Phase = Literal["warming", "superseded", "migrating", "serving", "draining"]


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
    """The epochs of the fences that this process holds."""
    superseded_by: tuple[str, int] | None = None
    """A fence and its later epoch, for a process that must never run."""
    heartbeat: float | None = None
    """Monotonic seconds of the reactor's last sign of life; None before it first ran."""

    def document(self) -> dict[str, Any]:
        """What GET /state answers."""
        return {
            "name": self.name,
            "role": self.role,
            "revision": self.revision,
            "phase": self.phase,
            "waiting_for": self.waiting_for,
            "synapse": self.synapse,
            "replication": {
                "connected": self.replication.connected,
                "caught_up": self.replication.caught_up,
            },
            "database": dataclasses.asdict(self.database),
            "fences": dict(self.fences),
            "superseded_by": (
                dict(zip(("fence", "epoch"), self.superseded_by, strict=True))
                if self.superseded_by
                else None
            ),
        }


class State:
    """The current snapshot; any thread may read or change it."""

    def __init__(self, first: Snapshot, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._snapshot = first
        self._clock = clock

    @property
    def now(self) -> Snapshot:
        """The present snapshot."""
        return self._snapshot

    def change(self, **fields: Any) -> None:
        """Replaces the named fields of the snapshot, all at once."""
        with self._lock:
            self._snapshot = dataclasses.replace(self._snapshot, **fields)

    def beat(self, replication: Replication) -> None:
        """A sign of life from the reactor, with what it sees of replication."""
        self.change(heartbeat=self._clock(), replication=replication)
