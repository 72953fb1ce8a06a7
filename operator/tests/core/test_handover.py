"""When the old pods of a switch may be let go."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.cluster import copied, processes
from tests.core.scenario import Scenario, running
from tests.core.worlds import CLIENT, MEDIA, PERSISTER, SENDER, SYNC, USUAL, usual

from homeserver_operator.api.names import PROCESS_LABEL
from homeserver_operator.api.observed import is_ready
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.fences import TOPOLOGY, Mark

MORE_WRITERS = [SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]
MORE_SENDERS = [SYNC, {**SENDER, "replicas": 2}, PERSISTER, CLIENT, MEDIA]

MORE_OF_BOTH = [SYNC, {**SENDER, "replicas": 2}, {**PERSISTER, "replicas": 3}, CLIENT, MEDIA]

NOTIFIER = {"name": "notifier", "runs": ["appservices"]}


def test_going_back_with_one_fence_does_not_let_those_go_who_rise_with_another() -> None:
    """One edit is taken back and another made at once: not yet are there pods for the second."""
    scenario = running(body=usual())
    scenario.edit(workers=MORE_WRITERS)
    scenario.step()
    scenario.cluster.settle()
    serving = _serving(scenario)
    scenario.edit(workers=MORE_SENDERS)
    for _ in range(3):
        scenario.step()
    assert serving <= _serving(scenario)
    scenario.converge()


RENAMED = {**SYNC, "name": "syncers"}


@pytest.mark.parametrize(
    "first",
    [{"image": "registry.example/synapse:other"}, {"workers": MORE_WRITERS}],
    ids=["another image", "more writers"],
)
def test_an_edit_that_is_taken_back_for_another_name_of_a_group_lets_nobody_go(
    first: dict[str, Any],
) -> None:
    """Whoever serves is of the epoch that is wanted; those by the new name are there, but cold."""
    scenario = running(body=usual())
    before = {**scenario.body["spec"], "restartPolicy": {"maxWarming": 99}}
    scenario.replace({**before, **first})
    scenario.step()
    scenario.cluster.settle()
    serving = _serving(scenario)
    scenario.replace({**before, "workers": [RENAMED, SENDER, PERSISTER, CLIENT, MEDIA]})
    for _ in range(4):
        scenario.step()
        for deployment in scenario.cluster.world.of_kind("Deployment"):
            key = ObjectKey("Deployment", deployment)
            scenario.cluster.controllers.surge(key, scenario.cluster.live)
        assert serving <= _serving(scenario)
    scenario.converge()


def test_taking_an_edit_back_does_not_let_those_go_who_are_wanted_again() -> None:
    """The new pods are there, but the old ones serve, and so does the worker that was to go."""
    body = usual()
    scenario = running(body={**body, "spec": {**body["spec"], "workers": [*USUAL, NOTIFIER]}})
    scenario.edit(workers=USUAL)
    scenario.step()
    scenario.cluster.settle()
    scenario.edit(workers=[*USUAL, NOTIFIER])
    assert not scenario.decide().plan.scales
    scenario.converge()


@pytest.mark.parametrize(
    ("epoch", "begins"),
    [(1, 2), (7, 8)],
    ids=["to the same epoch, by which it meant something else", "to a later epoch"],
)
def test_a_former_life_that_counted_is_gone_on_from(epoch: int, begins: int) -> None:
    """The database alone remembers that one; some of its processes might still be there."""
    scenario = Scenario(body=usual())
    scenario.cluster.controllers.recorded[TOPOLOGY] = Mark(epoch, "of a former life")
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"
    assert scenario.body["status"]["epochs"][TOPOLOGY] == begins


def test_pods_that_come_back_to_their_own_epoch_go_on_with_it() -> None:
    scenario = running(body=usual())
    for pod in scenario.cluster.world.of_kind("Pod").values():
        scenario.cluster.forget(ObjectKey("Pod", pod["metadata"]["name"]))
    before = scenario.body["status"]["epochs"]
    scenario.converge()
    assert scenario.body["status"]["epochs"] == before


@pytest.mark.long
@pytest.mark.parametrize(
    "second",
    [{"workers": MORE_OF_BOTH}, {"workers": MORE_WRITERS, "logLevel": "DEBUG"}],
    ids=["for which others switch", "for which nobody switches"],
)
@pytest.mark.parametrize("told", [True, False], ids=["the old are told", "the old are to be told"])
def test_an_edit_while_new_pods_take_over_waits_until_they_serve(
    second: dict[str, Any], *, told: bool
) -> None:
    """A Deployment's controller would take them away as unready ones; the old ones end already."""
    scenario = running(body=usual())
    serving = _pods(scenario)
    scenario.edit(workers=MORE_WRITERS, restartPolicy={"maxWarming": 99})
    scenario.step()
    scenario.cluster.settle()
    scenario.step()
    ending = serving.keys() - _pods(scenario).keys()
    for name in ending:
        ends = {"deletionTimestamp": scenario.now} if told else {}
        metadata = {**serving[name]["metadata"], **ends}
        scenario.cluster.live[ObjectKey("Pod", name)] = {**serving[name], "metadata": metadata}
    scenario.edit(**second)
    assert ending
    assert not {
        each.key for each in scenario.decide().plan.applies if each.key.kind == "Deployment"
    }
    for name in ending:
        scenario.cluster.forget(ObjectKey("Pod", name))
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_an_edit_that_is_taken_back_in_the_middle_of_a_hand_over_waits_until_new_pods_serve() -> (
    None
):
    """Who is not let go yet is of the epoch that is wanted again, but main is not.

    And a group that was to go, and would be back, would only keep the new ones waiting.
    """
    scenario = running(body=usual())
    before, serving = dict(scenario.body["spec"]), _pods(scenario)
    scenario.edit(workers=MORE_WRITERS[1:], restartPolicy={"maxWarming": 99})
    scenario.step()
    scenario.cluster.settle()
    plan = scenario.decide().plan
    some = tuple(each for each in plan.scales if "client" not in each.key.name)
    scenario.cluster.execute(replace(plan, scales=some))
    ending = serving.keys() - _pods(scenario).keys()
    for name in ending:
        scenario.cluster.live[ObjectKey("Pod", name)] = serving[name]
    scenario.replace(before)
    assert ending
    assert len(some) < len(plan.scales)
    plan = scenario.decide().plan
    assert ObjectKey("Deployment", "rosebud-sync") not in {each.key for each in plan.scales}
    assert not {each.key for each in plan.applies if each.key.kind in {"Deployment", "Service"}}
    for name in ending:
        scenario.cluster.forget(ObjectKey("Pod", name))
    scenario.converge()


def test_a_service_that_is_made_anew_leads_to_who_serves_and_not_to_who_waits() -> None:
    """One of them may have had its ReplicaSet before: how old that is tells nothing."""
    scenario = running(body=usual())
    (serving,) = _sets_of_main(scenario)
    scenario.edit(image="registry.example/synapse:other")
    scenario.step()
    scenario.cluster.settle()
    serving["status"] |= {"readyReplicas": 1}
    serving["metadata"]["creationTimestamp"] = "2026-06-01T00:00:00Z"
    assert len(_sets_of_main(scenario)) == 2
    scenario.edit(image="registry.example/synapse:third")
    scenario.cluster.forget(ObjectKey("Service", "rosebud-main"))
    (made,) = (
        each.manifest
        for each in scenario.decide().plan.applies
        if each.key == ObjectKey("Service", "rosebud-main")
    )
    labels = serving["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"].items() <= labels.items()


def _sets_of_main(scenario: Scenario) -> list[dict[str, Any]]:
    deployment = scenario.cluster.live[ObjectKey("Deployment", "rosebud-main")]
    return scenario.cluster.controllers.sets_of(deployment)


def _serving(scenario: Scenario) -> set[str]:
    return {name for name, pod in _pods(scenario).items() if is_ready(pod)}


def _pods(scenario: Scenario) -> dict[str, Any]:
    found: dict[str, Any] = copied(scenario.cluster.world.of_kind("Pod"))
    return found


def test_clients_of_one_process_meet_no_pod_of_a_restart_by_hand_before_it_is_warm() -> None:
    """`kubectl rollout restart` makes a ReplicaSet of the same revision."""
    scenario = running(body=usual())
    main, old = ObjectKey("Deployment", "rosebud-main"), _led_to(scenario)
    annotations = scenario.cluster.live[main]["spec"]["template"]["metadata"]["annotations"]
    annotations["kubectl.kubernetes.io/restartedAt"] = "2026-02-03T04:05:06Z"
    cold = _start(scenario, main)
    scenario.step()
    assert _led_to(scenario) == old
    _warm(scenario, cold)
    scenario.step()
    assert _led_to(scenario) == cold
    scenario.converge()
    assert _led_to(scenario) == cold


def _led_to(scenario: Scenario) -> str:
    """The one pod of main to which its Services lead."""
    services = [
        service["spec"]["selector"]
        for name, service in scenario.cluster.world.of_kind("Service").items()
        if name in {"rosebud-main", "rosebud-main-e1"}
    ]
    assert len(services) == 2
    pods = {
        name
        for name, pod in scenario.cluster.world.of_kind("Pod").items()
        for selector in services
        if selector.items() <= pod["metadata"]["labels"].items()
    }
    (pod,) = pods
    return pod


def _start(scenario: Scenario, deployment: ObjectKey) -> str:
    """The Deployment controller and a kubelet at work, and the launcher still is at its imports."""
    before = set(scenario.cluster.world.of_kind("Pod"))
    scenario.cluster.controllers.surge(deployment, scenario.cluster.live)
    (pod,) = set(scenario.cluster.world.of_kind("Pod")) - before
    return pod


def _warm(scenario: Scenario, pod: str) -> None:
    status = scenario.cluster.live[ObjectKey("Pod", pod)]["status"]
    status["containerStatuses"][0]["started"] = True


@pytest.mark.long
def test_the_last_switch_tells_of_all_though_some_were_done_before_others_were_warm() -> None:
    scenario = running(body=usual())
    scenario.edit(logLevel="DEBUG")
    scenario.step()
    scenario.cluster.settle()
    slow = next(
        pod
        for key, pod in scenario.cluster.live.items()
        if key.kind == "Pod" and pod["metadata"]["labels"].get(PROCESS_LABEL) == "sync"
        and "deletionTimestamp" not in pod["metadata"]
    )  # fmt: skip
    status = copied(slow["status"])
    slow["status"] = {"containerStatuses": [{"started": False}]}
    for _ in range(3):
        scenario.step()
    slow["status"] = status
    scenario.converge()

    everybody = processes(scenario.cluster.world)
    assert scenario.body["status"]["lastSwitch"]["processes"] == len(everybody)


@pytest.mark.parametrize("during", [False, True], ids=["in a wave", "while others switch"])
def test_outside_a_switch_nobody_is_let_go_before_its_service_is_turned(*, during: bool) -> None:
    """It keeps its name, so callers would be led to a process that is gone."""
    louder = {**PERSISTER, "logLevel": "DEBUG"}
    scenario = running(body=usual())
    scenario.edit(workers=[SYNC, SENDER, louder, CLIENT, MEDIA])
    scenario.step()
    scenario.cluster.settle()
    if during:
        # A switch of others waits, be it for ever.
        scenario.edit(workers=[SYNC, {**SENDER, "replicas": 2}, louder, CLIENT, MEDIA])
    plan = scenario.decide().plan
    (scale,) = plan.scales
    (going,) = (number for number, stage in enumerate(plan.stages) if scale in stage)
    turned = {step.key.name for stage in plan.stages[:going] for step in stage}
    assert "rosebud-persister-0-e1" in turned
    scenario.converge()
