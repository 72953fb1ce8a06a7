"""What is done to a homeserver while people use it, one thing after the other.

Each step returns once it is over, and nobody is left of those who were replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from e2e.cluster import api
from e2e.product.kube import Object
from e2e.product.restarting import Restarts
from e2e.tests.router.topology import Routed
from e2e.tests.switch.changes import group


@dataclass(frozen=True)
class Step:
    """One thing that is done."""

    title: str
    act: Callable[[Routed], None]


def _edit(title: str, edit: Callable[[Object], None]) -> Step:
    return Step(title, lambda routed: routed.change(edit))


def _number(title: str, name: str, replicas: int) -> Step:
    return _edit(title, lambda spec: group(spec, name).update(replicas=replicas))


def _restart_processes(routed: Routed) -> None:
    Restarts(routed.server).rollout()
    routed.settle()


def _restart_router(routed: Routed) -> None:
    before = routed.router.names()
    routed.server.kube.run("rollout", "restart", f"deployment/{routed.router.name}")
    routed.settle()
    for name in before:
        routed.router.wait_gone(name)


def _replace_one(routed: Routed) -> None:
    routed.router.replace(routed.router.names()[0])


def _replace_all(routed: Routed) -> None:
    for name in routed.router.names():
        routed.router.replace(name)


def _limit(spec: Object) -> None:
    spec["router"]["limits"] = {"login": {"requests": 100_000}}


def _move_pagination(spec: Object) -> None:
    group(spec, "reader")["serves"].remove("pagination")
    group(spec, "syncer")["serves"].append("pagination")


def _write_typing(spec: Object) -> None:
    group(spec, "sender")["writes"] = ["typing"]


def _leave_typing_to_main(spec: Object) -> None:
    del group(spec, "sender")["writes"]


def _image(routed: Routed) -> None:
    name = api.another_name("runtime")
    assert name, "only the rig's own cluster has a second name of an image"
    routed.change(lambda spec: spec.update(image=name))


SHORT: Final[Sequence[Step]] = (
    _number("event persisters: one becomes two", "persister", 2),
    Step("a router's pod is deleted", _replace_one),
    _number("readers: two become three", "reader", 3),
    _edit("the router's configuration: a limit", _limit),
)

EVERYTHING: Final[Sequence[Step]] = (
    _number("event persisters: one becomes three", "persister", 3),
    _number("event persisters: three become two", "persister", 2),
    _number("federation senders: one becomes two", "sender", 2),
    Step("every Deployment of Synapse's is restarted by hand", _restart_processes),
    Step("the router's Deployment is restarted by hand", _restart_router),
    _number("readers: two become four", "reader", 4),
    _number("readers: four become two", "reader", 2),
    Step("each of the router's pods is deleted in turn", _replace_all),
    _edit("the router's configuration: a limit", _limit),
    _edit("the router's configuration: a route class moves to another group", _move_pagination),
    Step("the image", _image),
)

WRITER: Final[Sequence[Step]] = (
    _edit("the writer of typing: a worker instead of main", _write_typing),
    _edit("the writer of typing: main again", _leave_typing_to_main),
)
