"""The secret of replication is changed: nobody may speak by the old one with who has the new."""

from __future__ import annotations

import base64
import secrets

import pytest

from e2e.product.homeserver import GROUP_LABEL, replaced
from e2e.product.kube import Object, eventually
from e2e.product.plugin import approve
from e2e.tests.switch.observing import observed
from e2e.tests.switch.topology import STARTS, STORES, Pair

pytestmark = [pytest.mark.cluster, pytest.mark.soak]


def _by_hand(spec: Object) -> None:
    spec["restartPolicy"] = {"approval": "Manual"}


def test_a_rotated_secret_restarts_everybody_together_and_until_then_nobody_has_the_new_one(
    pair: Pair,
) -> None:
    hub = pair.hub
    hub.apply(hub.edited(_by_hand))
    hub.wait_ready()
    before, epochs = hub.pods(), hub.live()["status"]["epochs"]
    with observed(pair) as seen:
        value = base64.b64encode(secrets.token_urlsafe(48).encode()).decode()
        hub.kube.patch("secret", "hub-replication", {"data": {"secret": value}})
        hub.wait("Ready", "False", "ApprovalNeeded")
        mounted = _secrets(pair)
        _lose_a_reader(pair)
        assert _secrets(pair) == mounted, "who starts meanwhile starts with what the others have"
        seen.talkers.flows()

        approve(pair.hub)
        hub.wait_ready(seconds=STARTS)
        seen.talkers.flows()

    after = hub.pods()
    assert replaced(before, after) == before.keys() - STORES
    assert hub.live()["status"]["epochs"] == epochs | {"topology": epochs["topology"] + 1}
    assert _secrets(pair).isdisjoint(mounted)


def _readers(pair: Pair) -> list[Object]:
    selector = f"homeserver-operator.io/homeserver={pair.hub.name},{GROUP_LABEL}=reader"
    pods = pair.hub.kube.list("pods", selector)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _secrets(pair: Pair) -> set[str]:
    """The copies of the replication secret that readers have mounted."""
    mounted = {
        str(volume.get("secret", {}).get("secretName"))
        for pod in _readers(pair)
        for volume in pod["spec"]["volumes"]
    }
    return {name for name in mounted if name.startswith("hub-replication-")}


def _lose_a_reader(pair: Pair) -> None:
    lost, *_ = _readers(pair)
    pair.hub.kube.delete("pod", lost["metadata"]["name"])
    eventually(
        lambda: _readers(pair),
        lambda pods: len(pods) == 2 and all(map(_is_ready, pods)),
        what="another reader in its place",
        seconds=120,
    )


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
