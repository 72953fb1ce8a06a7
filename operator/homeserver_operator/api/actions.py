"""What the core asks the shell to do: plain orders, each with the reason that people will read."""

from dataclasses import dataclass
from itertools import groupby

from homeserver_operator.api.names import FIELD_MANAGER
from homeserver_operator.api.world import Object, ObjectKey


@dataclass(frozen=True)
class Apply:
    """Server-side apply of one whole object.

    `uid` is that of the live object, so that an apply never re-creates what somebody deleted in
    between nor touches a namesake; None means that the object is to be created. As another
    `manager` it concerns only the fields that this manager is to own.
    """

    manifest: Object
    uid: str | None
    reason: str
    manager: str = FIELD_MANAGER

    @property
    def key(self) -> ObjectKey:
        """Which object this writes."""
        return ObjectKey(self.manifest["kind"], self.manifest["metadata"]["name"])


@dataclass(frozen=True)
class Scale:
    """Another number of pods for a Deployment or ReplicaSet, and nothing else of it.

    `uid` and `version` (the resourceVersion) are those on which it was decided.
    """

    key: ObjectKey
    uid: str
    version: str
    replicas: int
    reason: str


@dataclass(frozen=True)
class Delete:
    """Deletion of one object, with the uid on which it was decided as precondition."""

    key: ObjectKey
    uid: str
    reason: str


@dataclass(frozen=True)
class Reown:
    """New owner references for one object, and nothing else of it.

    `uid` and `version` (the resourceVersion) are those on which it was decided.
    """

    key: ObjectKey
    uid: str
    version: str | None
    owners: tuple[Object, ...]
    reason: str


Step = Apply | Scale | Delete | Reown
"""One write of a plan."""


@dataclass(frozen=True)
class Generate:
    """Creation of a Secret with random content, exactly once: never an update.

    `kinds` maps each data key to the kind of value: "token" (64 random URL-safe characters) or
    "signing-key" (an ed25519 signing key in Synapse's file format).
    """

    manifest: Object
    kinds: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Plan:
    """Writes in order: applies first to last, then scales, deletes and owner references.

    Scales are made all at once: whoever is let go first waits for the last.
    """

    applies: tuple[Apply, ...] = ()
    scales: tuple[Scale, ...] = ()
    deletes: tuple[Delete, ...] = ()
    reowns: tuple[Reown, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All writes in order."""
        return (*self.applies, *self.scales, *self.deletes, *self.reowns)

    @property
    def stages(self) -> tuple[tuple[Step, ...], ...]:
        """The same writes; those of one stage are made at the same time.

        So are changes of Services, because from the first of them on somebody waits for the last.
        """
        by_kind = groupby(self.applies, key=lambda apply: apply.key.kind == "Service")
        applies = (
            stage
            for services, group in by_kind
            for stage in ([tuple(group)] if services else [(apply,) for apply in group])
        )
        together = (self.scales,) if self.scales else ()
        return (*applies, *together, *((step,) for step in (*self.deletes, *self.reowns)))

    @property
    def empty(self) -> bool:
        """Whether the cluster is already as wanted."""
        return not self.steps


@dataclass(frozen=True)
class Event:
    """A Kubernetes event on the HomeServer: `type` is Normal or Warning."""

    type: str
    reason: str
    message: str
