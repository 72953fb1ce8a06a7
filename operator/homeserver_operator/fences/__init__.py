"""Fences: which of them each process must hold, and at which epoch. See docs/fences.md.

Pure. Who must restart follows from here and from nowhere else: a process whose epochs change has
other bytes.
"""

from homeserver_operator.fences.claims import (
    FEDERATION,
    PUSH,
    TOPOLOGY,
    Claims,
    make_claims,
)
from homeserver_operator.fences.epochs import settle
from homeserver_operator.fences.marks import Fences, Mark, holds_fences, marks_of

__all__ = [
    "FEDERATION",
    "PUSH",
    "TOPOLOGY",
    "Claims",
    "Fences",
    "Mark",
    "holds_fences",
    "make_claims",
    "marks_of",
    "settle",
]
