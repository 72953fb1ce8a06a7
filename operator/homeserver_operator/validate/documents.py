"""YAML that lies in users' Secrets: what it says, or that it cannot be read, never quoted."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml


class UnreadableError(ValueError):
    """Not YAML; the words go on after where it lies. The parser's own would quote the content."""


def read_yaml(text: bytes) -> Any:
    """What the text says; raises UnreadableError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise UnreadableError(f"is not YAML{line}") from None
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        # As for the 30th of February: the parser's own checks end at the grammar.
        message = "is not YAML: some value is none of its type, like a date that no year has"
        raise UnreadableError(message) from None
    if _holds_itself(document, (), set()):
        raise UnreadableError("holds a part that is a part of itself: write it without anchors")
    return document


def _holds_itself(node: Any, above: tuple[int, ...], seen: set[int]) -> bool:
    """`seen` are nodes that do not, so that a part with many names is looked at once."""
    if id(node) in above:
        return True
    if id(node) in seen or not isinstance(node, Mapping | list):
        return False
    parts: Iterable[Any] = node.values() if isinstance(node, Mapping) else node
    found = any(_holds_itself(part, (*above, id(node)), seen) for part in parts)
    seen.add(id(node))
    return found
