"""Rows' patterns made cheap to look up: as plain paths where they are few, else many as one.

Knows the regular expressions that rows are written in, whose alternatives stand in groups.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Final

_WORD: Final = re.compile(r"\\.|.", re.DOTALL)

_MANY: Final = frozenset("[]{}.*+^$")
"""What stands for more than is written."""


def paths(pattern: str) -> tuple[str, ...] | None:
    """Every path that a pattern matches, if it has alternatives and optional groups only."""
    words = _WORD.findall(pattern)
    classes = (word for word in words if re.fullmatch(r"\\\w", word))
    if "(?" in pattern or _MANY.intersection(words) or any(classes):
        return None
    words.reverse()
    return tuple(dict.fromkeys(_alternatives(words)))


def _alternatives(words: list[str]) -> list[str]:
    """Up to the end of a group, which is taken away, or of everything."""
    found: list[str] = []
    parts: list[list[str]] = []
    while words and (word := words.pop()) != ")":
        if word == "|":
            found += _joined(parts)
            parts = []
        elif word == "(":
            parts.append(_alternatives(words))
        elif word == "?":
            parts.append([*parts.pop(), ""])
        else:
            parts.append([word.removeprefix("\\")])
    return [*found, *_joined(parts)]


def _joined(parts: list[list[str]]) -> list[str]:
    return ["".join(chosen) for chosen in itertools.product(*parts)]


def merged(patterns: Iterable[str]) -> str:
    """One pattern that matches what any of them does, and reads what they begin with but once."""
    return _either([tuple(_segments(pattern)) for pattern in patterns])


def _segments(pattern: str) -> Iterator[str]:
    """What slashes part that stand in no group and no class, and may not be absent."""
    depth, segment = 0, ""
    words = _WORD.findall(pattern)
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word == "/" and not depth and following not in {*"?*+{"}:
            yield segment
            segment = ""
            continue
        depth += (word in "([") - (word in ")]")
        segment += word
    yield segment


def _either(ways: list[tuple[str, ...]]) -> str:
    """Alternatives by what they begin with, in the order in which that comes first."""
    by_head: dict[str, list[tuple[str, ...]]] = {}
    for head, *rest in ways:
        by_head.setdefault(head, []).append(tuple(rest))
    written = [_followed(head, rests) for head, rests in by_head.items()]
    return written[0] if len(written) == 1 else f"(?:{'|'.join(written)})"


def _followed(head: str, rests: list[tuple[str, ...]]) -> str:
    longer = list(dict.fromkeys(rest for rest in rests if rest))
    if not longer:
        return head
    tail = f"/{_either(longer)}"
    return f"{head}{tail}" if all(rests) else f"{head}(?:{tail})?"
