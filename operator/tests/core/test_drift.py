"""A cluster that is as wanted is left alone; what is deleted or changed is put back."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.core import case
from tests.core.scenario import Scenario, running
from tests.core.worlds import Objects, container

from homeserver_operator.api.world import ObjectKey

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", case.names())
def test_a_cluster_that_is_as_wanted_is_left_alone(name: str) -> None:
    scenario = running(name)
    assert scenario.decide().plan.empty
    assert scenario.condition("Ready")["status"] == "True", scenario.condition("Ready")


@pytest.mark.parametrize("name", ["shared-class", "retention-delete", "external-stores"])
def test_each_object_that_is_deleted_comes_back_as_it_was(name: str) -> None:
    scenario = running(name)
    before = wanted_state(scenario)
    for key in deletable(scenario):
        scenario.cluster.forget(key)
        plan = scenario.decide().plan
        assert {apply.key for apply in plan.applies} == {key}
        scenario.cluster.execute(plan)
    # What is noted of those who serve, comes when they do.
    assert wanted_state(scenario.converge()) == before


@pytest.mark.parametrize("name", case.names())
def test_all_objects_come_back_together(name: str) -> None:
    scenario = running(name)
    before = wanted_state(scenario)
    for key in deletable(scenario):
        scenario.cluster.forget(key)
    assert wanted_state(scenario.converge()) == before


def deletable(scenario: Scenario) -> list[ObjectKey]:
    """All but pods, which are their Deployments' business, and generated Secrets, made once."""
    made = scenario.cluster.references.keys() - set(scenario.users)
    return [key for key in scenario.cluster.live if key.kind != "Pod" and key not in made]


def wanted_state(scenario: Scenario) -> Objects:
    """All but pods, without what tells one incarnation of an object from the next."""
    state = copy.deepcopy({k: o for k, o in scenario.cluster.live.items() if k.kind != "Pod"})
    for live in state.values():
        for field in ("uid", "generation", "resourceVersion"):
            live["metadata"].pop(field, None)
        live.pop("status", None)
    return state


def service(live: Objects, name: str) -> dict[str, Any]:
    return live[ObjectKey("Service", name)]


DRIFTS: dict[str, tuple[ObjectKey, Callable[[Objects], object]]] = {
    "a selector's value": (
        ObjectKey("Service", "aster-sync"),
        lambda live: service(live, "aster-sync")["spec"]["selector"].update(
            {"homeserver-operator.io/homeserver": "else"}),
    ),
    "a selector with one label more, which would lead nowhere": (
        ObjectKey("Service", "aster-sync"),
        lambda live: service(live, "aster-sync")["spec"]["selector"].update(more="label"),
    ),
    "a port": (
        ObjectKey("Service", "aster-main-e1"),
        lambda live: service(live, "aster-main-e1")["spec"]["ports"][0].update(targetPort=1),
    ),
    "an image": (
        ObjectKey("Deployment", "aster-main"),
        lambda live: container(live, "aster-main").update(image="evil"),
    ),
    "a security context": (
        ObjectKey("Deployment", "aster-main"),
        lambda live: container(live, "aster-main")["securityContext"].update(
            allowPrivilegeEscalation=True),
    ),
    "an argument": (
        ObjectKey("Deployment", "aster-main"),
        lambda live: container(live, "aster-main")["args"].append("--more"),
    ),
    "a removed volume": (
        ObjectKey("Deployment", "aster-main"),
        lambda live: live[ObjectKey("Deployment", "aster-main")]["spec"]["template"]["spec"][
            "volumes"].pop(),
    ),
    "the number of main processes": (
        ObjectKey("Deployment", "aster-main"),
        lambda live: live[ObjectKey("Deployment", "aster-main")]["spec"].update(replicas=2),
    ),
    "an Ingress's path": (
        ObjectKey("Ingress", "aster-sync"),
        lambda live: live[ObjectKey("Ingress", "aster-sync")]["spec"]["rules"][0]["http"][
            "paths"][0].update(path="/elsewhere"),
    ),
    "an annotation": (
        ObjectKey("Ingress", "aster-sync"),
        lambda live: live[ObjectKey("Ingress", "aster-sync")]["metadata"]["annotations"].update(
            {"nginx.ingress.kubernetes.io/use-regex": "false"}),
    ),
    "a label": (
        ObjectKey("ServiceAccount", "aster"),
        lambda live: live[ObjectKey("ServiceAccount", "aster")]["metadata"]["labels"].pop(
            "app.kubernetes.io/name"),
    ),
    "the owner": (
        ObjectKey("ServiceAccount", "aster"),
        lambda live: live[ObjectKey("ServiceAccount", "aster")]["metadata"].pop("ownerReferences"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_whatever_is_changed_is_put_back(drift: str) -> None:
    key, change = DRIFTS[drift]
    scenario = running("shared-class")
    before = wanted_state(scenario)
    change(scenario.cluster.live)
    assert wanted_state(scenario) != before
    assert {apply.key for apply in scenario.decide().plan.applies} == {key}
    scenario.converge()
    assert wanted_state(scenario) == before


def test_fields_of_others_stay() -> None:
    scenario = running("shared-class")
    live = scenario.cluster.live
    live[ObjectKey("Deployment", "aster-main")]["metadata"]["annotations"]["theirs"] = "1"
    live[ObjectKey("Service", "aster-sync")]["spec"]["externalIPs"] = ["10.1.1.1"]
    container(live, "aster-steady")["env"].append({"name": "THEIRS", "value": "1"})
    live[ObjectKey("Deployment", "aster-steady")]["spec"]["replicas"] = 5
    assert scenario.decide().plan.empty, "steady has no replicas in its spec: they are a scaler's"


def test_an_edit_keeps_the_fields_of_others() -> None:
    scenario = running("shared-class")
    live = scenario.cluster.live
    container(live, "aster-steady")["env"].append(
        {"name": "THEIRS", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    )
    live[ObjectKey("Deployment", "aster-steady")]["spec"]["replicas"] = 5
    scenario.edit(logLevel="ERROR")
    scenario.converge()
    assert container(live, "aster-steady")["env"][-1]["name"] == "THEIRS"
    assert live[ObjectKey("Deployment", "aster-steady")]["spec"]["replicas"] == 5


MEDIA_CLAIM = ObjectKey("PersistentVolumeClaim", "aster-media")


def grown(size: str) -> Scenario:
    """Somebody has enlarged a claim of which the spec says 10Gi."""
    scenario = running("shared-class")
    _requests(scenario)["storage"] = size
    return scenario


def _requests(scenario: Scenario) -> dict[str, Any]:
    found: dict[str, Any] = scenario.cluster.live[MEDIA_CLAIM]["spec"]["resources"]["requests"]
    return found


def test_a_claim_that_others_have_enlarged_is_left_alone() -> None:
    assert grown("20Gi").decide().plan.empty


def test_a_claim_that_others_have_enlarged_holds_up_no_edit() -> None:
    scenario = grown("20Gi")
    scenario.cluster.live[MEDIA_CLAIM]["metadata"]["labels"].clear()
    scenario.cluster.live[MEDIA_CLAIM]["metadata"]["annotations"].clear()
    scenario.edit(logLevel="ERROR")
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"
    assert _requests(scenario)["storage"] == "20Gi"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("15Gi", "20Gi"), ("20480Mi", "20Gi"), ("30Gi", "30Gi"), ("1Gi", "20Gi")],
)
def test_a_claim_grows_to_what_the_spec_says_and_never_shrinks(wanted: str, expected: str) -> None:
    scenario = grown("20Gi")
    scenario.edit(mediaStore={"volume": {"size": wanted}})
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"
    assert _requests(scenario)["storage"] == expected
