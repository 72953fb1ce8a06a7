"""Queries that HAProxy and Synapse read in two ways: refused, where what they decide is counted.

Synapse parts a query at each `&` and `;`, then decodes names and values, and of a name that is
there twice takes the first value. HAProxy parts it at each further `?`, too, knows a name only as
it is written, and has a condition met by any of several values. So a first sync could be written
that looks like a later one, or like somebody else's. No client writes names other than as they are,
or one of these names twice; of values it may leave a `?` as it is, which does no harm in others.
"""

import re
from typing import Final

_READ: Final = ("since", "full_state", "access_token", "user_id")
"""The parameters by which it is decided where a sync goes, and whose it is."""

_ANY: Final = f"({'|'.join(_READ)})"

AMBIGUOUS: Final = (
    # An encoded name.
    "(^|[&;])[^=&;]*%",
    # What is part of a name or a value for Synapse.
    f"[?]{_ANY}=",
    f"(^|[&;]){_ANY}=[^&;]*[?]",
    # One that is there twice; HAProxy's patterns cannot refer to what they have found.
    *(f"(^|[&;]){name}=.*[&;]{name}=" for name in _READ),
)
"""Patterns that look at each character a few times at most, however long a query is."""

CLASSES: Final = ("sync", "initial-sync")
"""The classes of which such queries are refused."""

WHY: Final = (
    "This query can be read in two ways: write since, full_state, access_token and user_id once, "
    "no name percent-encoded, and a question mark in a value as %3F"
)


def is_ambiguous(query: str) -> bool:
    """Whether a query, as it is written, is one of these."""
    return any(re.search(pattern, query) for pattern in AMBIGUOUS)
