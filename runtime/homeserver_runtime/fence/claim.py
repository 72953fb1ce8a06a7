"""What a process claims, and the advisory-lock keys by which it does.

Two-part advisory locks belong to one database, so homeservers that share a server never see each
other's. Synapse itself takes none. Pure.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_KEY = 0x7FFFFFFF
"""Keys are signed to the functions and unsigned in pg_locks: the lower half is the same in both."""


def _key(text: str) -> int:
    digest = hashlib.sha256(f"homeserver-operator.io/{text}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & _LARGEST_KEY


GATE = _key("gate")
"""Exclusive while somebody enters, shared while somebody opens a connection; never for longer than
one statement of the server's."""
SESSION = _key("session")
"""Second part: a backend's process id. Exclusive: that backend's connection lives."""
NAME = _key("name")
"""Second part: a process's name. Exclusive: the lock session of the one process of that name."""
REMAINS = _key("remains")
"""Second part: a process's name. Shared: any connection of a process of that name."""
HOLDER = _key("holder")
"""Second part: a random number. Exclusive: this very lock session, not a successor's."""

NEXT = _key("next")
"""Second part, as of the next two: the cohort's epoch. Shared: a process that waits for entry."""
BUSY = _key("busy")
"""Shared: a process that drains and still needs the others."""
IDLE = _key("idle")
"""Shared: a process that drains and needs nobody."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A process's name and the epoch of every fence that it must hold to run."""

    name: str
    epochs: Mapping[str, int]
    contents: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """A hash of what all holders of a fence's epoch agree on, where there is one."""
    cohort: str = ""
    """The fence whose holders stop together when its epoch rises; they wait for each other while
    they drain."""
    duties: tuple[str, ...] = ()
    """What the process can answer. While it waits, one that stops and has no others may send its
    clients here."""
    address: str = ""
    """Where: the address at which its ports are open; empty: nobody is sent."""

    @property
    def cohort_key(self) -> tuple[int, int]:
        """Both parts of that fence's key."""
        return _key(f"fence/{self.cohort}"), self.epochs.get(self.cohort, 0)

    @property
    def name_key(self) -> int:
        """Second part of the keys of its name."""
        return _key(f"name/{self.name}")

    def document(self, holder: int) -> dict[str, Any]:
        """The claim as the statements read it; `holder` is the lock session's random number."""
        return {
            "name": self.name_key,
            "holder": holder,
            "fences": [
                {
                    "fence": fence,
                    "class": _key(f"fence/{fence}"),
                    "epoch": epoch,
                    "content": self.contents.get(fence),
                }
                for fence, epoch in sorted(self.epochs.items())
            ],
        }
