"""What people do by hand in between: undo, hold back, approve, delete, forget."""

from __future__ import annotations

import pytest

from e2e.product.homeserver import PROCESS_LABEL, replaced
from e2e.product.kube import Object, eventually
from e2e.product.plugin import approve
from e2e.tests.switch.changes import GROWS, Change, group
from e2e.tests.switch.making import check, make
from e2e.tests.switch.observing import observed
from e2e.tests.switch.topology import STARTS, Pair

pytestmark = pytest.mark.cluster

REVISION = "homeserver-operator.io/revision"
MORE_PERSISTERS, *_, QUIETER = GROWS
HOLDS = 5.0


@pytest.mark.parametrize(
    ("change", "deployment"),
    [
        pytest.param(QUIETER, "hub-typing-0", id="to a revision of this epoch"),
        pytest.param(
            MORE_PERSISTERS, "hub-main", id="to an epoch of the past", marks=pytest.mark.soak
        ),
    ],
)
def test_an_undone_rollout_is_put_back(pair: Pair, change: Change, deployment: str) -> None:
    hub = pair.hub
    with observed(pair) as seen:
        check(make(hub, seen.watch, seen.talkers, change))
        wanted, before = _revision(pair, deployment), hub.pods()
        epochs = hub.live()["status"]["epochs"]

        hub.kube.run("rollout", "undo", f"deployment/{deployment}")
        eventually(
            lambda: _revision(pair, deployment),
            lambda revision: revision == wanted,
            what=f"{deployment} as before",
            seconds=60,
        )
        eventually(
            lambda: _told(pair), lambda told: told == "True", what="it is over", seconds=STARTS
        )
        seen.talkers.flows()

    process = deployment.removeprefix("hub-")
    after = hub.pods()
    assert {name for name in after if after[name] != before[name]} <= {process}
    assert hub.live()["status"]["epochs"] == epochs


def _revision(pair: Pair, deployment: str) -> str:
    template = pair.hub.kube.get("deployment", deployment)["spec"]["template"]
    return str(template["metadata"]["labels"][REVISION])


def _told(pair: Pair) -> str:
    """Ready, and by its process's pods, too: an undone rollout is no new generation."""
    if any(pod["status"].get("phase") != "Running" for pod in _pods(pair)):
        return "False"
    return str(pair.hub.condition("Ready").get("status"))


def _pods(pair: Pair) -> list[Object]:
    return pair.hub.kube.list("pods", f"homeserver-operator.io/homeserver=hub,{PROCESS_LABEL}")


def _held(spec: Object) -> None:
    spec["restartPolicy"] = {"approval": "Manual"}
    MORE_PERSISTERS.edit(spec)


def test_a_plan_is_held_until_it_is_approved_and_readers_scale_meanwhile(pair: Pair) -> None:
    hub, before = pair.hub, pair.hub.pods()
    with observed(pair) as seen:
        hub.apply(hub.edited(_held))
        held = hub.wait("Ready", "False", "ApprovalNeeded")
        plan = hub.live()["status"]["plan"]
        hub.apply(hub.edited(lambda spec: group(spec, "reader").update(replicas=3)))
        scaled = eventually(
            hub.pods,
            lambda pods: len(pods["reader"]) == 3,
            what="a third reader of the old revision",
            seconds=60,
        )
        hub.wait("Ready", "False", "ApprovalNeeded")
        seen.talkers.flows()
        untouched = hub.pods()

        approval = approve(pair.hub)
        hub.wait_ready(seconds=STARTS)
        seen.talkers.flows()

    assert plan["phase"] == "Held"
    assert plan["id"] in held["message"]
    told = {item["process"] for wave in plan["waves"] for item in wave["restarts"]}
    assert told == MORE_PERSISTERS.restarts
    assert {p: scaled[p] for p in before if p != "reader"} == {
        p: before[p] for p in before if p != "reader"
    }
    assert before["reader"] < scaled["reader"]
    assert untouched == scaled
    assert "is approved" in approval
    after = hub.pods()
    assert replaced(before, after) == MORE_PERSISTERS.restarts
    assert ("topology", hub.live()["status"]["epochs"]["topology"]) in seen.epochs


def test_a_status_that_somebody_removed_is_told_anew_and_restarts_nobody(pair: Pair) -> None:
    hub, before = pair.hub, pair.hub.pods()
    epochs = hub.live()["status"]["epochs"]
    nothing = {"status": dict.fromkeys(hub.live()["status"])}

    hub.kube.patch("homeserver", hub.name, nothing, subresource="status")
    hub.wait_ready()

    assert hub.live()["status"]["epochs"] == epochs
    assert hub.pods() == before


@pytest.mark.soak
def test_a_successor_on_the_same_database_goes_on_after_its_epochs(pair: Pair) -> None:
    """It counts from one again, and means something else by it."""
    hub = pair.hub
    before, epochs = hub.pods(), hub.live()["status"]["epochs"]

    hub.kube.delete("homeserver", hub.name)
    selector = f"homeserver-operator.io/homeserver={hub.name}"
    hub.kube.run("wait", "--for=delete", "pod", f"--selector={selector}", "--timeout=120s")
    hub.apply(hub.edited(MORE_PERSISTERS.edit))
    hub.wait_ready(seconds=STARTS)
    with observed(pair) as seen:
        seen.talkers.flows()

    after = hub.live()["status"]["epochs"]
    assert after == epochs | {"topology": epochs["topology"] + 1}
    assert not any(before.get(process, set()) & pods for process, pods in hub.pods().items())
