"""Whether two epochs of a fence, or two processes of one name, were ever at work at the same time.

Judges by what they did to the database and not by the fence's own locks, of which it knows nothing.
Pure: `sampling` and `audited` see what is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from homeserver_runtime.label import Label

NOTICED_LATE = 0.25
"""Seconds for which PostgreSQL may still list a connection that has ended, on a busy machine."""


@dataclass(frozen=True, order=True)
class Deed:
    """Something that a process did to the database, and when by the database's clock."""

    at: float
    label: Label = field(compare=False)
    what: str = field(compare=False, default="")

    def __str__(self) -> str:
        return f"{_who(self.label)} {self.what} at {self.at:.3f}"


@dataclass(frozen=True)
class Span:
    """From when to when a connection that Synapse worked with was open."""

    begins: float
    ends: float
    label: Label


def out_of_order(deeds: Iterable[Deed]) -> list[str]:
    """What an earlier epoch did after a later one, and a pod after its successor; in words."""
    return list(_out_of_order(sorted(deeds)))


def _out_of_order(deeds: Iterable[Deed]) -> Iterator[str]:
    latest: dict[str, Deed] = {}
    pods: dict[str, dict[str | None, Deed]] = {}
    for deed in deeds:
        for fence, epoch in deed.label.epochs.items():
            before = latest.setdefault(fence, deed)
            if before.label.epochs[fence] > epoch:
                yield f"{fence}: {deed}, after {before}"
            else:
                latest[fence] = deed
        # In the order of first sight; the last one is the one that may still do something.
        seen = pods.setdefault(deed.label.name, {})
        first = seen.setdefault(deed.label.pod, deed)
        if (last := next(reversed(seen.values()))) is not first:
            yield f"{deed.label.name}: {deed}, after its successor: {last}"


def together(spans: Iterable[Span], *, tolerance: float = NOTICED_LATE) -> list[str]:
    """Who was connected at the same time and never may be; in words."""
    return list(_together([*spans], tolerance))


def _together(spans: list[Span], tolerance: float) -> Iterator[str]:
    by_epoch: dict[str, dict[object, Span]] = {}
    by_pod: dict[str, dict[object, Span]] = {}
    for span in spans:
        for fence, epoch in span.label.epochs.items():
            _join(by_epoch.setdefault(fence, {}), epoch, span)
        _join(by_pod.setdefault(span.label.name, {}), span.label.pod, span)
    for what, members in [*by_epoch.items(), *by_pod.items()]:
        in_turn = sorted(members.values(), key=lambda span: span.begins)
        for earlier, later in pairwise(in_turn):
            if later.begins < earlier.ends - tolerance:
                yield (
                    f"{what}: {_who(earlier.label)} until {earlier.ends:.3f}, "
                    f"{_who(later.label)} from {later.begins:.3f}"
                )


def _join(members: dict[object, Span], key: object, span: Span) -> None:
    known = members.get(key, span)
    members[key] = Span(min(known.begins, span.begins), max(known.ends, span.ends), known.label)


def _who(label: Label) -> str:
    epochs = " ".join(f"{fence} {epoch}" for fence, epoch in label.epochs.items())
    return f"{label.name} ({epochs}; pod {label.pod})"
