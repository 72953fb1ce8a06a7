"""The number of processes changes hands, and moves, without a restart of anybody."""

from __future__ import annotations

import pytest

from e2e.product.homeserver import RunningHomeServer
from e2e.product.kube import Object, eventually

pytestmark = pytest.mark.cluster

DEPLOYMENT = "example-client"


def _client(spec: Object) -> Object:
    return next(group for group in spec["workers"] if group["name"] == "client")


def _autoscale(spec: Object) -> None:
    group = _client(spec)
    del group["replicas"]
    group["autoscale"] = {"minReplicas": 2, "maxReplicas": 4, "cpuUtilization": 90}


def _replicas(homeserver: RunningHomeServer) -> int:
    return int(homeserver.kube.get("deployment", DEPLOYMENT)["spec"]["replicas"])


def _pods_stay(before: dict[str, frozenset[str]], homeserver: RunningHomeServer) -> None:
    after = homeserver.pods()
    gone = {process for process in before if not before[process] <= after.get(process, set())}
    assert gone == set()


def test_an_autoscaler_takes_over_and_scaling_restarts_nobody(
    homeserver: RunningHomeServer,
) -> None:
    before = homeserver.pods()
    assert len(before["client"]) == 2

    homeserver.apply(homeserver.edited(_autoscale))
    homeserver.wait_ready()
    assert _replicas(homeserver) == 2
    _pods_stay(before, homeserver)
    target = homeserver.kube.get("hpa", DEPLOYMENT)["spec"]["scaleTargetRef"]
    assert target["name"] == DEPLOYMENT

    # What an autoscaler does, who has no metrics here: it writes to the scale subresource.
    homeserver.kube.run("scale", f"deployment/{DEPLOYMENT}", "--replicas=3")
    eventually(
        lambda: homeserver.live()["status"]["groups"],
        lambda groups: {"name": "client", "desired": 3, "ready": 3} in groups,
        what="three client processes in the status",
        seconds=120,
    )
    homeserver.wait_ready()

    # A change of the operator's own on the same Deployment.
    change = {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}
    homeserver.kube.patch("deployment", DEPLOYMENT, change)
    eventually(
        lambda: homeserver.kube.get("deployment", DEPLOYMENT)["metadata"]["labels"],
        lambda labels: labels["app.kubernetes.io/name"] == "homeserver",
        what="the label as before",
        seconds=30,
    )
    assert _replicas(homeserver) == 3
    _pods_stay(before, homeserver)


def test_a_number_that_the_resource_no_longer_says_stays(homeserver: RunningHomeServer) -> None:
    before = homeserver.pods()

    homeserver.apply(homeserver.edited(lambda spec: _client(spec).pop("replicas")))
    homeserver.wait_ready()

    assert _replicas(homeserver) == 2
    _pods_stay(before, homeserver)
