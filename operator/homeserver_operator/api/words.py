"""Sentences' parts that are said in several places."""

from collections.abc import Sequence


def listed(found: Sequence[str], most: int, separator: str = "; ") -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return separator.join(found[:most]) + more
