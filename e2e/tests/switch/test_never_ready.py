"""A spec that can never become ready does no harm, and to take it back is all that it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.product.kube import Object
from e2e.tests.switch.changes import group
from e2e.tests.switch.observing import observed
from e2e.tests.switch.topology import Pair

pytestmark = pytest.mark.cluster


def _unpullable(spec: Object) -> None:
    spec["image"] = "localhost/homeserver-operator/runtime:no-such-tag"


def _refused_by_synapse(spec: Object) -> None:
    spec["config"]["caches"] = {"global_factor": "twice"}


def _nowhere_to_go(spec: Object) -> None:
    group(spec, "persister").update(replicas=2, nodeSelector={"kubernetes.io/hostname": "nowhere"})


@pytest.mark.parametrize(
    ("edit", "reason", "words"),
    [
        pytest.param(
            _unpullable,
            "ImageUnavailable",
            "no-such-tag",
            id="a bad image",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            _refused_by_synapse, "ConfigRejected", "global_factor", id="what Synapse refuses"
        ),
        pytest.param(
            _nowhere_to_go,
            "Unschedulable",
            "persister",
            id="a new event persister without a node",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_the_old_processes_serve_until_it_is_taken_back(
    pair: Pair, edit: Callable[[Object], None], reason: str, words: str
) -> None:
    hub, good = pair.hub, pair.hub.resource
    before, epochs = hub.pods(), hub.live()["status"]["epochs"]
    with observed(pair) as seen:
        hub.apply(hub.edited(edit))
        told = hub.wait("Ready", "False", reason)
        seen.talkers.flows()
        serving = hub.pods()
        hub.apply(good)
        hub.wait_ready()
        seen.talkers.flows()

    assert words in told["message"]
    assert "Nothing was stopped" in told["message"]
    assert all(before[process] <= serving[process] for process in before)
    assert hub.pods() == before
    assert hub.live()["status"]["epochs"] == epochs
