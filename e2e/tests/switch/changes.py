"""One table: what may be changed of a running homeserver, and which processes then restart.

Written by hand from Synapse's documentation of workers and from what was measured of it. Two tests
go through it, one in a cluster and one of the operator's core alone, so that both say the same.
Knows neither of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

RESOURCES: Final = Path(__file__).with_name("homeservers.yaml")
OTHER_IMAGE: Final = "another tag"
"""Stands for the runtime's image under another name, which only a cluster knows."""

Spec = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """An edit of the spec, and what comes of it.

    `waves` are the processes of before and after that get new pods, in their order; `ends` and
    `starts` those that go and come, `scales` those of which there are more pods then. Everybody
    else keeps theirs. `rises` names the fences whose holders change over together; then all of it
    is one wave.
    """

    title: str
    edit: Callable[[Spec], None]
    waves: tuple[tuple[str, ...], ...] = ()
    ends: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()
    rises: frozenset[str] = frozenset()

    @property
    def restarts(self) -> frozenset[str]:
        """All of the waves."""
        return frozenset(process for wave in self.waves for process in wave)

    def __str__(self) -> str:
        return self.title


def group(spec: Spec, name: str) -> Spec:
    """One worker group of a spec."""
    found: Spec = next(item for item in spec["workers"] if item["name"] == name)
    return found


def _number(name: str, replicas: int) -> Callable[[Spec], None]:
    return lambda spec: group(spec, name).update(replicas=replicas)


def _renamed(name: str, other: str) -> Callable[[Spec], None]:
    return lambda spec: group(spec, name).update(name=other)


def _pushers(spec: Spec) -> None:
    spec["workers"].append({"name": "pusher", "replicas": 2, "runs": ["pusher"], **spec["main"]})


def _background_moved(spec: Spec) -> None:
    spec["workers"].remove(group(spec, "background"))
    group(spec, "typist")["runs"] = ["backgroundTasks"]


def _log_level(name: str, level: str) -> Callable[[Spec], None]:
    return lambda spec: group(spec, name).update(logLevel=level)


def _option_of_all(spec: Spec) -> None:
    spec["config"]["forget_rooms_on_leave"] = True


def _image(spec: Spec) -> None:
    spec["image"] = OTHER_IMAGE


TOPOLOGY: Final = frozenset({"topology"})
FEDERATION: Final = frozenset({"federation"})
PUSH: Final = frozenset({"push"})
BACKGROUND: Final = frozenset({"backgroundTasks"})

GROWS: Final[Sequence[Change]] = (
    Change(
        "one event persister becomes three: everybody, together",
        _number("persister", 3),
        waves=(("main", "persister-0", "sender-0", "reader", "typing-0", "background-0"),),
        starts=("persister-1", "persister-2"),
        rises=TOPOLOGY,
    ),
    Change(
        "one federation sender becomes two: main and the senders, together",
        _number("sender", 2),
        waves=(("main", "sender-0"),),
        starts=("sender-1",),
        rises=FEDERATION,
    ),
    Change(
        "two pushers take over from main: main, together with them",
        _pushers,
        waves=(("main",),),
        starts=("pusher-0", "pusher-1"),
        rises=PUSH,
    ),
    Change("a group of readers is scaled: nobody", _number("reader", 3), scales=("reader",)),
    Change(
        "the log level of one group: this group",
        _log_level("typing", "WARNING"),
        waves=(("typing-0",),),
    ),
)
"""From the resource as it stands in the file. Each change builds on the one before."""

SHRINKS: Final[Sequence[Change]] = (
    Change(
        "three event persisters become two: everybody, together",
        _number("persister", 2),
        waves=(
            (
                *("main", "persister-0", "persister-1", "sender-0", "sender-1", "reader"),
                *("pusher-0", "pusher-1", "typing-0", "background-0"),
            ),
        ),
        ends=("persister-2",),
        rises=TOPOLOGY,
    ),
    Change(
        "the event persisters are renamed: everybody else, together",
        _renamed("persister", "keeper"),
        waves=(
            (
                *("main", "sender-0", "sender-1", "reader"),
                *("pusher-0", "pusher-1", "typing-0", "background-0"),
            ),
        ),
        ends=("persister-0", "persister-1"),
        starts=("keeper-0", "keeper-1"),
        rises=TOPOLOGY,
    ),
    Change(
        "two federation senders become one: main and the senders, together",
        _number("sender", 1),
        waves=(("main", "sender-0"),),
        ends=("sender-1",),
        rises=FEDERATION,
    ),
    Change(
        "two pushers become one: main and the pushers, together",
        _number("pusher", 1),
        waves=(("main", "pusher-0"),),
        ends=("pusher-1",),
        rises=PUSH,
    ),
    Change(
        "the writer of typing moves: everybody, together",
        _renamed("typing", "typist"),
        waves=(("main", "keeper-0", "keeper-1", "sender-0", "pusher-0", "reader", "background-0"),),
        ends=("typing-0",),
        starts=("typist-0",),
        rises=TOPOLOGY,
    ),
    Change(
        "background tasks move: main, the old holder and the new, together",
        _background_moved,
        waves=(("main", "typist-0"),),
        ends=("background-0",),
        rises=BACKGROUND,
    ),
    Change(
        "an option of everybody: all, callers before those whom they call",
        _option_of_all,
        waves=(
            ("sender-0", "pusher-0", "reader"),
            ("keeper-0",),
            ("keeper-1",),
            ("typist-0",),
            ("main",),
        ),
    ),
    Change(
        "the image: everybody, together",
        _image,
        waves=(("main", "keeper-0", "keeper-1", "sender-0", "pusher-0", "reader", "typist-0"),),
        rises=TOPOLOGY,
    ),
)
"""Goes on where GROWS ends."""


def resources() -> list[Spec]:
    """The two homeservers: the one that is changed, and the other one."""
    found: list[Spec] = yaml.safe_load(RESOURCES.read_text())["items"]
    return found
