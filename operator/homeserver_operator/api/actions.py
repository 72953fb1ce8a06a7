"""What the core asks the shell to do: plain orders, each with the reason that people will read."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import FIELD_MANAGER
from homeserver_operator.api.observed import key_of
from homeserver_operator.api.world import Object, ObjectKey


@dataclass(frozen=True)
class Apply:
    """Server-side apply of one whole object.

    `uid` is that of the live object, so that an apply never re-creates what somebody deleted in
    between nor touches a namesake; None means that the object is to be created. As another
    `manager` it concerns only the fields that this manager is to own. `again`: it was in vain
    before, and nobody waits for it.
    """

    manifest: Object
    uid: str | None
    reason: str
    manager: str = FIELD_MANAGER
    again: bool = False

    @property
    def key(self) -> ObjectKey:
        """Which object this writes."""
        return key_of(self.manifest)


@dataclass(frozen=True)
class Scale:
    """Another number of pods for a Deployment or ReplicaSet, and nothing else of it.

    That of a Deployment is recorded as the scale manager's (`plan.scaling`), and so is how many
    there were before it was stopped, `stopped_from`. `uid` and `version` (the resourceVersion) are
    those on which it was decided.
    """

    key: ObjectKey
    uid: str
    version: str
    replicas: int
    reason: str
    stopped_from: int | None = None


@dataclass(frozen=True)
class Delete:
    """Deletion of one object, with the uid on which it was decided as precondition."""

    key: ObjectKey
    uid: str
    reason: str


@dataclass(frozen=True)
class Amend:
    """Other values of some fields of one object's metadata, whoever owns them, and nothing else.

    `uid` and `version` (the resourceVersion, None for whichever) are those on which it was decided.
    `metadata` holds a list as a whole, and of a mapping the keys that change.
    """

    key: ObjectKey
    uid: str
    version: str | None
    metadata: Object
    reason: str


Step = Apply | Scale | Delete | Amend
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
    """Writes: applies first to last, then deletes, and amendments of metadata.

    Scales come after the Services. Where some of these are `decisive`, they are applied before, and
    scales go with the rest. What leads traffic in is applied after both.
    """

    applies: tuple[Apply, ...] = ()
    scales: tuple[Scale, ...] = ()
    deletes: tuple[Delete, ...] = ()
    amends: tuple[Amend, ...] = ()
    decisive: frozenset[ObjectKey] = frozenset()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All writes in order."""
        return tuple(step for stage in self.stages for step in stage)

    @property
    def stages(self) -> tuple[tuple[Step, ...], ...]:
        """Writes of one stage are made at the same time.

        From the decisive Services on there is no way back (`plan.handover`), and until the last
        process is let go somebody waits: so the rest of both goes out at once. What controllers
        learn late anyway comes after it.
        """
        inside = [each for each in self.applies if not BY_KIND[each.key.kind].entrance]
        entrances = tuple(each for each in self.applies if BY_KIND[each.key.kind].entrance)
        late = ((step,) for step in self.deletes)
        return tuple(filter(None, (*self._handing_over(inside), entrances, *late, self.amends)))

    def _handing_over(self, applies: Iterable[Apply]) -> list[tuple[Step, ...]]:
        """The stages of these, with the scales at or after the last Services, or at the end."""
        stages: list[tuple[Step, ...]] = []
        place = None
        for services, group in groupby(applies, key=lambda each: each.key.kind == "Service"):
            if not services:
                stages += [(each,) for each in group]
                continue
            changed = tuple(group)
            place = len(stages) + 1
            stages += [
                tuple(each for each in changed if each.key in self.decisive),
                tuple(each for each in changed if each.key not in self.decisive),
            ]
        if place is None:
            return [*stages, self.scales]
        if self.decisive:
            stages[place] += self.scales
            return stages
        return [*stages[: place + 1], self.scales, *stages[place + 1 :]]

    @property
    def awaited(self) -> int:
        """How many writes are more than another try of what was in vain."""
        return sum(not (isinstance(step, Apply) and step.again) for step in self.steps)

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
