"""What dies in the middle of a switch changes nothing about where it ends."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from e2e.cluster import api
from e2e.product.homeserver import PROCESS_LABEL, ROLE_LABEL
from e2e.product.installation import OPERATOR_SELECTOR
from e2e.product.kube import Kube, Object, eventually
from e2e.tests.switch.changes import GROWS
from e2e.tests.switch.observing import Observation, observed
from e2e.tests.switch.topology import STARTS, Pair

pytestmark = pytest.mark.cluster

SWITCH = GROWS[0]
LAST_EVENT = 70
"""About as many events of pods as the switch has."""

Fault = Callable[[Pair, random.Random], str]


def _operator(pair: Pair, chance: random.Random) -> str:
    return _kill(pair.hub.installation.operator, OPERATOR_SELECTOR, chance)


def _synapse(pair: Pair, chance: random.Random) -> str:
    return _kill(pair.hub.kube, f"{_OF_HUB},{ROLE_LABEL} in (main,worker)", chance)


def _redis(pair: Pair, chance: random.Random) -> str:
    return _kill(pair.hub.kube, f"{_OF_HUB},{PROCESS_LABEL}=redis", chance)


def _postgres(pair: Pair, chance: random.Random) -> str:
    return _kill(pair.hub.kube, f"{_OF_HUB},{PROCESS_LABEL}=postgres", chance)


_OF_HUB = "homeserver-operator.io/homeserver=hub"


def _kill(kube: Kube, selector: str, chance: random.Random) -> str:
    """Kill a container that runs, as `kill -9` does; return its pod's name."""
    pods = [pod for pod in kube.list("pods", selector) if _container(pod)]
    victim = chance.choice(sorted(pods, key=lambda pod: str(pod["metadata"]["name"])))
    api.kill_container(_container(victim))
    return str(victim["metadata"]["name"])


def _container(pod: Object) -> str:
    """The id of its container; '' if it does not run."""
    for status in pod["status"].get("containerStatuses", ()):
        if "running" in status["state"]:
            return str(status["containerID"]).removeprefix("containerd://")
    return ""


def _seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - to be repeated is the point


def _case(fault: Fault, seed: int, *, soak: bool = True) -> object:
    return pytest.param(
        fault, seed, id=f"{fault.__name__[1:]}, seed {seed}", marks=pytest.mark.soak if soak else ()
    )


@pytest.mark.parametrize(
    ("fault", "seed"),
    [
        _case(_operator, 1, soak=False),
        *(_case(_operator, seed) for seed in range(2, 6)),
        *(_case(fault, seed) for fault in (_synapse, _redis, _postgres) for seed in (1, 2)),
    ],
)
def test_a_switch_ends_as_if_nothing_had_happened(pair: Pair, fault: Fault, seed: int) -> None:
    chance, hub = _seeded(seed), pair.hub
    moment = chance.randrange(1, LAST_EVENT)
    before, epochs = hub.pods(), hub.live()["status"]["epochs"]
    harmless = fault is _operator
    with observed(pair, pushed_once=harmless, bridged_once=harmless) as seen:
        mark = seen.watch.events
        hub.apply(hub.edited(SWITCH.edit))
        _await(seen, mark + moment, pair)
        phase = hub.live()["status"].get("plan", {}).get("phase")
        victim = fault(pair, chance)
        print(f"{victim} was killed at event {moment}, phase {phase}")
        hub.wait_ready(seconds=STARTS)
        seen.talkers.flows()

    after = hub.pods()
    assert after.keys() == before.keys() | {*SWITCH.starts}
    assert {p for p in before if not _uids(before[p]) & _uids(after[p])} == SWITCH.restarts
    later = hub.live()["status"]["epochs"]
    assert later == epochs | {"topology": epochs["topology"] + 1}
    assert {("topology", epochs["topology"]), ("topology", later["topology"])} <= seen.epochs


def _await(seen: Observation, event: int, pair: Pair) -> None:
    """Until the pods are so far, or all is over."""
    eventually(
        lambda: seen.watch.events >= event or pair.hub.condition("Ready").get("status") == "True",
        bool,
        what=f"event {event}",
        seconds=STARTS,
    )


def _uids(identities: frozenset[str]) -> set[str]:
    """Without how often their containers have started."""
    return {identity.partition("/")[0] for identity in identities}


def test_postgres_restarts_and_no_process_does(pair: Pair) -> None:
    before = pair.hub.pods()
    with observed(pair, bridged_once=False) as seen:
        _postgres(pair, _seeded(0))
        eventually(
            lambda: pair.hub.pods()["postgres"],
            lambda pods: pods != before["postgres"],
            what="another PostgreSQL",
            seconds=60,
        )
        pair.hub.wait_ready()
        seen.talkers.flows()

    assert pair.hub.pods() | {"postgres": before["postgres"]} == before
