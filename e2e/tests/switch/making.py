"""Makes one change of the hub while people talk, and tells what came of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from e2e.cluster import api
from e2e.product.homeserver import RunningHomeServer
from e2e.product.kube import Object
from e2e.product.podwatch import Pod, PodWatch
from e2e.product.talk import Message, Talkers
from e2e.tests.switch.changes import OTHER_IMAGE, Change
from e2e.tests.switch.topology import STARTS

STORES = {"postgres", "redis"}


@dataclass(frozen=True)
class Made:
    """One change that has been made: what it did to pods and epochs, and what people noticed."""

    change: Change
    before: Object
    after: Object
    pods_before: dict[str, frozenset[str]]
    pods_after: dict[str, frozenset[str]]
    began: datetime
    seconds: float
    messages: list[Message]
    made: list[Pod]
    told: list[Pod]

    def __str__(self) -> str:
        failed = Counter(failure for message in self.messages for failure in message.failures)
        switch = self.after["status"].get("lastSwitch", {}).get("seconds", 0)
        return (
            f"{self.change}: ready after {self.seconds:.0f} s (switch {switch:.0f} s), "
            f"longest answer {longest(self.messages):.2f} s of {len(self.messages)} messages, "
            f"failed requests: {dict(failed) or 'none'}"
        )

    def epochs(self, fence: str) -> tuple[int, int]:
        """The fence's epoch before and after."""
        before, after = (body["status"]["epochs"][fence] for body in (self.before, self.after))
        return before, after


def longest(messages: list[Message]) -> float:
    """Seconds of the longest wait for an acknowledgement, retries included."""
    return max((m.acknowledged - m.began for m in messages if m.acknowledged), default=0.0)


def make(hub: RunningHomeServer, watch: PodWatch, talkers: Talkers, change: Change) -> Made:
    """Apply the change, wait until it has taken effect and people go on talking."""
    before, pods, mark = hub.live(), hub.pods(), watch.events
    began, started = datetime.now(UTC), time.monotonic()
    hub.apply(edited(hub, change))
    hub.wait_ready(seconds=STARTS)
    ended = time.monotonic()
    talkers.flows()
    return Made(
        change=change,
        before=before,
        after=hub.live(),
        pods_before=pods,
        pods_after=hub.pods(),
        began=began,
        seconds=ended - started,
        messages=talkers.between(started, ended),
        made=watch.since(mark),
        told=watch.told_since(mark),
    )


def edited(hub: RunningHomeServer, change: Change) -> Object:
    """The resource with the change, and a real image's name where the table cannot know one."""
    resource = hub.edited(change.edit)
    if resource["spec"].get("image") == OTHER_IMAGE:
        name = api.another_name("runtime")
        if name is None:
            pytest.skip("somebody else's cluster has no second name of an image")
        resource["spec"]["image"] = name
    return resource


def check(made: Made) -> None:
    """Who restarted, and in which order, is what the table says."""
    change, before, after = made.change, made.pods_before, made.pods_after
    lost = {process for process in before if not before[process] <= after.get(process, set())}
    assert lost == change.restarts | set(change.ends), "who lost a pod, or a container restarted"
    kept = {process for process in lost if before[process] & after.get(process, set())}
    assert kept == set(), "who lost only some of its pods"
    assert {pod.process for pod in made.made} == change.restarts | {*change.starts, *change.scales}
    assert {pod.process for pod in made.told} == lost
    risen = {f for f in made.after["status"]["epochs"] if made.epochs(f)[0] != made.epochs(f)[1]}
    assert risen == change.rises
    assert all(made.epochs(fence)[1] == made.epochs(fence)[0] + 1 for fence in risen)
    _check_order(made)
    _check_status(made)


def _check_order(made: Made) -> None:
    change = made.change
    if change.rises:
        # Everybody of the new epoch is warm before anybody of the old one has to go.
        last_warm = max(_came(pod.started) for pod in made.made)
        assert last_warm < min(_came(pod.told) for pod in made.told)
    for earlier, later in pairwise(change.waves):
        over = max(_came(pod.told) for pod in made.told if pod.process in earlier)
        begun = min(pod.made for pod in made.made if pod.process in later)
        assert over < begun, f"{later} before {earlier} were over"


def _came(moment: int | None) -> int:
    assert moment is not None
    return moment


def _check_status(made: Made) -> None:
    status = made.after["status"]
    assert "plan" not in status
    if not (made.change.waves or made.change.ends):
        assert status.get("lastSwitch") == made.before["status"].get("lastSwitch")
        return
    last = status["lastSwitch"]
    # The status knows whole seconds.
    assert datetime.fromisoformat(last["startedAt"]) >= made.began.replace(microsecond=0)
    assert last["processes"] == len(made.change.restarts) + len(made.change.ends)
    assert last["because"]
