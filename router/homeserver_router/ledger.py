"""Which pod has which slot of a backend: the share of all keys that it answers. Pure.

All routers of a homeserver must agree, or one user's requests would go to several workers. So the
slots stand in a ledger that all share, and this module says what comes next in it:

- a pod keeps its slot for as long as it stays;
- the slot of a pod that went is its successor's: the one given back last is the first to go out;
- whoever comes in addition waits a moment ("patient"), because a predecessor may be about to go.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The slots of one Service; `freed` has those that were given back, the last one last."""

    slots: Mapping[str, int] = dataclasses.field(default_factory=dict)
    freed: tuple[tuple[int, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Ledger:
        """What `text` wrote; an empty ledger if that cannot be read, as nothing else could help."""
        try:
            content: Any = json.loads(text)
            slots = {str(pod): int(slot) for pod, slot in content["slots"].items()}
            freed = tuple((int(slot), str(pod)) for slot, pod in content["freed"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()
        if len(set(slots.values())) != len(slots):
            return cls()
        return cls(slots, freed)

    def text(self) -> str:
        """The ledger as its ConfigMap holds it."""
        content = {"slots": dict(sorted(self.slots.items())), "freed": self.freed}
        return json.dumps(content, separators=(",", ":"))


def assign(
    ledger: Ledger,
    *,
    present: Collection[str],
    members: Collection[str],
    slots: int,
    patient: Collection[str] = (),
) -> Ledger:
    """The ledger after the pods of a Service have changed.

    `present` are all pods that stay, `members` those of them that need a slot, `patient` those of
    the members that still wait for somebody to go. `slots` is how many there are.
    """
    if not members:
        return ledger
    kept = {
        pod: slot for pod, slot in ledger.slots.items() if pod in present and 1 <= slot <= slots
    }
    gone = sorted(
        ((slot, pod) for pod, slot in ledger.slots.items() if pod not in kept and slot <= slots),
        reverse=True,
    )
    taken = set(kept.values())
    known = {slot for slot, _ in gone}
    freed = [
        (slot, pod)
        for slot, pod in ledger.freed
        if 1 <= slot <= slots and slot not in taken and slot not in known
    ]
    book = _Book(kept, freed, gone, slots)
    newcomers = [pod for pod in sorted(members) if pod not in kept]
    waiting = frozenset(patient) if any(pod in kept for pod in members) else frozenset[str]()
    # First those who only come back, so that nobody else is given what was theirs.
    newcomers = [pod for pod in newcomers if not book.returns(pod)]
    for pod in newcomers:
        book.admit(pod, members, patient=pod in waiting)
    return Ledger(book.slots, (*book.freed, *book.gone))


class _Book:
    """A ledger that is being changed; `gone` are the slots that became free only now."""

    def __init__(
        self,
        slots: dict[str, int],
        freed: list[tuple[int, str]],
        gone: list[tuple[int, str]],
        size: int,
    ) -> None:
        self.slots = slots
        self.freed = freed
        self.gone = gone
        self._size = size

    def returns(self, pod: str) -> bool:
        """Gives back to a pod what it had; False if it had nothing, or that is taken."""
        for entries in (self.gone, self.freed):
            for entry in entries:
                if entry[1] == pod:
                    entries.remove(entry)
                    self.slots[pod] = entry[0]
                    return True
        return False

    def admit(self, pod: str, members: Collection[str], *, patient: bool) -> None:
        """Finds a slot for a new pod, if there is one for it by now."""
        if self.gone:
            self.slots[pod] = self.gone.pop()[0]
        elif patient:
            return
        elif self.freed:
            self.slots[pod] = self.freed.pop()[0]
        elif unused := set(range(1, self._size + 1)) - set(self.slots.values()):
            self.slots[pod] = min(unused)
        else:
            # Who serves goes before who only might.
            idle = sorted(
                (slot, other) for other, slot in self.slots.items() if other not in members
            )
            if idle:
                self.slots[pod] = self.slots.pop(idle[0][1])
