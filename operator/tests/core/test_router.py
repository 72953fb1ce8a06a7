"""A router that comes, changes and goes: nobody is led to where nobody answers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.core.fencing import is_ready
from tests.core.scenario import ROUNDS, Scenario, running
from tests.core.worlds import USUAL, usual

from homeserver_operator.api.actions import Amend, Apply, Delete, Plan, Scale
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import (
    EPOCH_LABEL,
    MAIN_REVISION_ANNOTATION,
    PROCESS_LABEL,
    REVISION_LABEL,
    ROLE_LABEL,
    ROUTER_CONFIG_ANNOTATION,
)
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build.edge import leads_to

CONTROLLERS = ("ingress-nginx", "traefik", "traefik-crd", "haproxy-ingress", "gateway-api")
TYPING = {"name": "typist", "writes": ["typing"]}
LOGIN = {"name": "front", "replicas": 1, "serves": ["login"]}

DEPLOYMENT = ObjectKey("Deployment", "rosebud-router")
SERVICE = ObjectKey("Service", "rosebud-router")
SLOTS = ObjectKey("ConfigMap", "rosebud-router-slots")

every_controller = pytest.mark.parametrize("controller", CONTROLLERS)


def ingress(controller: str) -> dict[str, Any]:
    gateway = {"gateway": {"name": "outer"}} if controller == "gateway-api" else {}
    return {"controller": controller, "federation": {"host": "f.example"}, **gateway}


def body(controller: str = "ingress-nginx", **spec: Any) -> dict[str, Any]:
    base = usual()
    return {**base, "spec": {**base["spec"], "ingress": ingress(controller), **spec}}


def routed(**spec: Any) -> Scenario:
    return running(body=body(router={}, **spec))


def entrances(world: World) -> list[Object]:
    return [child for key, child in world.children.items() if BY_KIND[key.kind].entrance]


def past_router(world: World) -> set[str]:
    return {
        child["metadata"]["name"]
        for child in entrances(world)
        if not leads_to(child, "rosebud-router")
    }


def config_of(world: World) -> str:
    return str(world.children[SERVICE]["metadata"]["annotations"][ROUTER_CONFIG_ANNOTATION])


def readable(world: World) -> set[str]:
    """Names of the ConfigMaps that the router may read."""
    role = world.children[ObjectKey("Role", "rosebud-router")]
    (rule,) = (
        rule
        for rule in role["rules"]
        if rule["resources"] == ["configmaps"] and rule["verbs"] == ["get"]
    )
    return set(rule["resourceNames"])


def unanswered(world: World) -> Iterator[str]:
    """What leads to a Service that nobody answers, through the router or past it."""
    services = world.of_kind("Service")
    pods = world.of_kind("Pod").values()
    for child in entrances(world):
        led = {name for name in services if leads_to(child, name)}
        for name in led:
            spec = services[name]["spec"]
            chosen = [
                pod for pod in pods if spec["selector"].items() <= pod["metadata"]["labels"].items()
            ]
            if not any(is_ready(pod) for pod in chosen):
                yield f"{child['metadata']['name']} leads to {name}"
        if not led:
            yield f"{child['metadata']['name']} leads to no Service"


def each_write(plan: Plan) -> Iterator[Plan]:
    for stage in plan.stages:
        for step in stage:
            match step:
                case Apply():
                    yield Plan(applies=(step,))
                case Scale():
                    yield Plan(scales=(step,))
                case Delete():
                    yield Plan(deletes=(step,))
                case Amend():
                    yield Plan(amends=(step,))


def converge_watched(scenario: Scenario) -> None:
    """Converge, and look after every write whether everything that leads in leads somewhere."""
    for _ in range(ROUNDS):
        decision = scenario.decide()
        for write in each_write(decision.plan):
            scenario.cluster.execute(write)
            assert not [*unanswered(scenario.cluster.world)], write
        _, told = scenario.step()
        scenario.cluster.settle()
        if decision.plan.empty and told.status is None:
            return
    raise AssertionError("still busy")


@pytest.mark.long
@every_controller
def test_a_router_comes_and_goes_and_somebody_always_answers(controller: str) -> None:
    scenario = running(body=body(controller))
    assert past_router(scenario.cluster.world)
    scenario.edit(router={})
    converge_watched(scenario)
    assert entrances(scenario.cluster.world)
    assert not past_router(scenario.cluster.world)
    scenario.edit(router=None)
    converge_watched(scenario)
    assert not [key for key in scenario.cluster.live if "router" in key.name]
    assert entrances(scenario.cluster.world)


def test_traffic_goes_past_a_router_until_that_is_ready_and_the_status_says_so() -> None:
    scenario = running(body=body())
    before = past_router(scenario.cluster.world)
    scenario.edit(router={})
    scenario.step()
    decision, _ = scenario.step()
    assert decision.plan.empty
    assert DEPLOYMENT in scenario.cluster.live
    assert past_router(scenario.cluster.world) == before
    ready = scenario.condition("Ready")
    assert ready["status"] == "False"
    assert ready["message"] == (
        "waiting for router (0/2) to be ready. "
        "Until it is ready, traffic goes past the router, as it did without"
    )
    scenario.cluster.settle()
    scenario.converge()
    assert not past_router(scenario.cluster.world)
    assert scenario.condition("Ready")["status"] == "True"


def test_edits_of_the_way_in_hold_while_traffic_goes_past_the_router() -> None:
    scenario = running(body=body())
    scenario.edit(router={})
    scenario.step()
    scenario.edit(ingress={**ingress("ingress-nginx"), "className": "other"})
    scenario.step()
    world = scenario.cluster.world
    assert len(past_router(world)) == len(entrances(world)) > 2
    assert {child["spec"]["ingressClassName"] for child in entrances(world)} == {"other"}


@pytest.mark.parametrize(
    ("replicas", "ready", "goes"),
    [
        pytest.param(1, 0, False, id="its only pod is not ready"),
        pytest.param(1, 1, True, id="its only pod is ready"),
        pytest.param(3, 1, False, id="one of three is too few"),
        pytest.param(3, 2, True, id="one of three may be missing, as in a rollout"),
    ],
)
def test_traffic_goes_over_when_enough_pods_are_ready(
    replicas: int, ready: int, *, goes: bool
) -> None:
    scenario = running(body=body())
    scenario.edit(router={"replicas": replicas})
    scenario.step()
    scenario.cluster.live[DEPLOYMENT]["status"] = {"readyReplicas": ready}
    scenario.step()
    assert bool(past_router(scenario.cluster.world)) is not goes


def test_a_new_homeserver_is_reached_through_its_router_alone() -> None:
    scenario = Scenario(body=body(router={}))
    for _ in range(ROUNDS):
        decision, _ = scenario.step()
        assert not past_router(scenario.cluster.world)
        if decision.plan.empty:
            break
        scenario.cluster.settle()
    assert len(entrances(scenario.cluster.world)) == 2


def test_traffic_stays_with_a_router_that_fails() -> None:
    """Controllers would need longer to go back than a pod needs to start."""
    scenario = routed()
    scenario.cluster.live[DEPLOYMENT]["status"]["readyReplicas"] = 0
    assert scenario.decide().plan.empty
    scenario.step()
    assert scenario.condition("Available")["status"] == "False"
    assert scenario.condition("Available")["message"] == "no pod ready of router"
    assert "past the router" not in scenario.condition("Ready")["message"]


def test_a_router_that_goes_stays_until_nothing_leads_to_it() -> None:
    scenario = routed()
    scenario.edit(router=None)
    scenario.step()
    assert DEPLOYMENT in scenario.cluster.live
    assert all(past_router(scenario.cluster.world))
    scenario.step()
    assert DEPLOYMENT not in scenario.cluster.live


def test_what_a_routers_pods_need_outlives_them() -> None:
    """They go on accepting until controllers have learned, and answer what is in flight."""
    scenario = routed()
    needed = {
        key
        for key, live in scenario.cluster.live.items()
        if live["metadata"]["labels"].get("app.kubernetes.io/component") == "router"
        and key.kind not in {"Deployment", "Pod"}
    }
    kinds = {"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service", "NetworkPolicy"}
    assert {key.kind for key in needed} == kinds | {"PodDisruptionBudget"}
    pods = {key: live for key, live in scenario.cluster.live.items() if "router-pod" in key.name}
    scenario.edit(router=None)
    for _ in range(4):
        scenario.step()
        scenario.cluster.live |= pods
    assert DEPLOYMENT not in scenario.cluster.live
    assert needed <= set(scenario.cluster.live)
    for key in pods:
        del scenario.cluster.live[key]
    scenario.converge()
    assert not needed & set(scenario.cluster.live)


def test_another_configuration_is_followed_without_a_restart() -> None:
    scenario = routed()
    before, pods = config_of(scenario.cluster.world), scenario.templates()["rosebud-router"]
    scenario.edit(router={"holdSeconds": 7})
    scenario.step()
    after = config_of(scenario.cluster.world)
    assert after != before
    assert readable(scenario.cluster.world) == {before, after, SLOTS.name}
    assert ObjectKey("ConfigMap", before) in scenario.cluster.live, "a pod may just read it"
    scenario.converge()
    assert scenario.templates()["rosebud-router"] == pods
    assert readable(scenario.cluster.world) == {after, SLOTS.name}
    assert ObjectKey("ConfigMap", before) not in scenario.cluster.live


def test_a_configuration_that_comes_with_a_switch_waits_for_it() -> None:
    """A class goes to another process when that process may serve, and not before."""
    scenario = routed()
    before = config_of(scenario.cluster.world)
    old = epoch_of_main(scenario)
    scenario.edit(workers=[*USUAL, TYPING])
    for _ in range(ROUNDS):
        _, told = scenario.step()
        world = scenario.cluster.world
        assert ObjectKey("ConfigMap", config_of(world)) in world.children
        assert config_of(world) in readable(world)
        turned = "rosebud-typing" in world.of_kind("Service") and epoch_of_main(scenario) != old
        assert (config_of(world) == before) is not turned
        if told.status is None and scenario.decide().plan.empty:
            break
        scenario.cluster.settle()
    assert config_of(scenario.cluster.world) != before


def main_told(world: World) -> str:
    return str(world.children[SERVICE]["metadata"]["annotations"][MAIN_REVISION_ANNOTATION])


def main_led_to(world: World) -> str:
    """Main's revision by its Service, of which slices have the label."""
    service = world.children[ObjectKey("Service", "rosebud-main")]
    revision = service["spec"]["selector"][REVISION_LABEL]
    assert service["metadata"]["labels"][REVISION_LABEL] == revision
    return str(revision)


def epoch_of_main(scenario: Scenario) -> str:
    """The epoch of the pods that main's Service leads to."""
    live = scenario.cluster.live
    selector = live[ObjectKey("Service", "rosebud-main")]["spec"]["selector"]
    chosen = (
        pod["metadata"]["labels"]
        for key, pod in live.items()
        if key.kind == "Pod" and selector.items() <= pod["metadata"]["labels"].items()
    )
    return next((labels[EPOCH_LABEL] for labels in chosen), "none")


@pytest.mark.long
def test_with_a_switch_the_router_is_told_before_old_processes_go() -> None:
    """Else their class would go on to them, and then to whoever may not write in their place."""
    scenario = routed()
    scenario.edit(workers=[*USUAL, TYPING])
    plans = []
    for _ in range(ROUNDS):
        plans.append(scenario.decide().plan)
        scenario.step()
        scenario.cluster.settle()
    (plan,) = (plan for plan in plans if any(each.key == SERVICE for each in plan.applies))
    stages = [[step.key for step in stage] for stage in plan.stages]
    (told,) = (index for index, stage in enumerate(stages) if SERVICE in stage)
    assert ObjectKey("Service", "rosebud-main") in stages[told]
    assert plan.scales
    assert {scale.key for scale in plan.scales} <= set(stages[told + 1])


@pytest.mark.long
@pytest.mark.parametrize("before", [None, {}], ids=["comes", "goes"])
def test_traffic_does_not_go_over_while_processes_switch(before: dict[str, Any] | None) -> None:
    scenario = running(body=body()) if before is None else routed()
    past = past_router(scenario.cluster.world)
    scenario.edit(router={} if before is None else None, workers=[*USUAL, TYPING],
                  restartPolicy={"approval": "Manual"})  # fmt: skip
    for _ in range(4):
        scenario.step()
        scenario.cluster.settle()
        assert past_router(scenario.cluster.world) == past
    assert scenario.condition("Ready")["reason"] == "ApprovalNeeded"
    scenario.edit(restartPolicy=None)
    scenario.converge()
    assert past_router(scenario.cluster.world) != past


@pytest.mark.long
@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        pytest.param(
            {"workers": USUAL}, [(True, True)],
            id="with the main that writes what a worker wrote, both in one write",
        ),
        pytest.param(
            {"workers": [*USUAL, TYPING, LOGIN]}, [(True, False)],
            id="of a main that stays, the same",
        ),
        pytest.param(
            {"logLevel": "DEBUG"}, [(False, True)], id="of another main by the same configuration"
        ),
    ],
)  # fmt: skip
def test_the_router_is_told_which_main_a_configuration_is_meant_for(
    edit: dict[str, Any], changes: list[tuple[bool, bool]]
) -> None:
    """Else its pods ask the main before for what it cannot answer, until they hear of the next."""
    scenario = routed(workers=[*USUAL, TYPING])
    last = config_of(scenario.cluster.world), main_told(scenario.cluster.world)
    scenario.edit(**edit)
    found = []
    for _ in range(ROUNDS):
        decision, told = scenario.step()
        world = scenario.cluster.world
        assert main_told(world) == main_led_to(world)
        now = config_of(world), main_told(world)
        if now != last:
            found.append((now[0] != last[0], now[1] != last[1]))
        last = now
        scenario.cluster.settle()
        if decision.plan.empty and told.status is None:
            break
    assert found == changes


@pytest.mark.long
def test_traffic_does_not_go_over_before_a_switch_is_over() -> None:
    """Not even when it is under way, and the router is ready."""
    scenario = running(body=body())
    past = past_router(scenario.cluster.world)
    scenario.edit(router={}, workers=[*USUAL, TYPING])
    switching = []
    for _ in range(ROUNDS):
        decision, _told = scenario.step()
        outlook = decision.findings.outlook
        assert outlook is not None
        if outlook.restarts.switch:
            switching.append(outlook.restarts.holds_routes)
            assert past_router(scenario.cluster.world) >= past
        scenario.cluster.settle()
    # Not all warm up at the same time.
    assert switching == [True, True, False]
    assert not past_router(scenario.cluster.world)


def test_the_slots_are_the_agents() -> None:
    scenario = routed()
    scenario.cluster.live[SLOTS]["data"] = {"sync": "taken"}
    assert scenario.decide().plan.empty
    scenario.edit(router={"replicas": 3})
    scenario.converge()
    assert scenario.cluster.live[SLOTS]["data"] == {"sync": "taken"}


def test_a_configuration_that_is_somebody_elses_is_not_opened_to_the_router() -> None:
    """Whoever may edit a Service could read by it what they may not."""
    scenario = routed()
    scenario.cluster.live[SERVICE]["metadata"]["annotations"][ROUTER_CONFIG_ANNOTATION] = "theirs"
    scenario.step()
    assert "theirs" not in readable(scenario.cluster.world)
    assert config_of(scenario.cluster.world) != "theirs"


def test_an_upgrade_of_the_operator_replaces_no_router() -> None:
    scenario = routed()
    scenario.defaults = replace(scenario.defaults, router_image="other:1")
    assert scenario.decide().plan.empty
    scenario.edit(router={"image": "own:1"})
    spec = scenario.converge().templates()["rosebud-router"]["spec"]
    everyone = [*spec["containers"], *spec["initContainers"]]
    assert {container["image"] for container in everyone} == {"own:1"}


def test_a_router_comes_without_a_restart_of_anybody() -> None:
    scenario = running(body=body())
    before = scenario.templates()
    scenario.edit(router={})
    after = scenario.converge().templates()
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"rosebud-router"}


def test_the_router_is_no_worker() -> None:
    scenario = routed()
    status = scenario.body["status"]
    assert "router" not in {group["name"] for group in status["groups"]}
    assert status["workers"] == running(body=body()).body["status"]["workers"]


@every_controller
def test_the_controller_lacks_no_words_for_the_router(controller: str) -> None:
    scenario = running(body=body(controller, router={}))
    types = {condition["type"] for condition in scenario.body["status"]["conditions"]}
    assert "RoutingReduced" not in types


@pytest.mark.parametrize("replicas", [1, 2])
def test_one_pod_alone_has_no_budget(replicas: int) -> None:
    scenario = running(body=body(router={"replicas": replicas}))
    budgets = scenario.cluster.world.of_kind("PodDisruptionBudget")
    assert ("rosebud-router" in budgets) is (replicas > 1)


def test_what_is_wrong_with_a_pod_of_the_router_is_told() -> None:
    scenario = running(body=body())
    scenario.edit(router={})
    scenario.step()
    scenario.cluster.settle()
    pods = [live for key, live in scenario.cluster.live.items() if "router-pod" in key.name]
    for pod in pods:
        assert pod["metadata"]["labels"][ROLE_LABEL] == pod["metadata"]["labels"][PROCESS_LABEL]
        waiting = {"reason": "ErrImagePull", "message": "no such image"}
        pod["status"] = {"initContainerStatuses": [{"image": "r:1", "state": {"waiting": waiting}}]}
    scenario.cluster.live[DEPLOYMENT]["status"] = {}
    scenario.step()
    ready = scenario.condition("Ready")
    assert ready["reason"] == "ImageUnavailable"
    assert "past the router" in ready["message"]


def test_a_new_class_is_led_to_a_group_only_when_somebody_is_there() -> None:
    """A pod may take minutes to come; until then whoever had the class answers."""
    scenario = routed()
    before = config_of(scenario.cluster.world)
    scenario.edit(workers=[*USUAL, LOGIN])
    for _ in range(3):
        scenario.step()
        assert config_of(scenario.cluster.world) == before
        assert readable(scenario.cluster.world) >= {before}
    assert scenario.condition("Ready")["message"].startswith("waiting for front (0/1) to be ready")
    scenario.cluster.settle()
    scenario.step()
    assert config_of(scenario.cluster.world) != before
    scenario.converge()


@pytest.mark.parametrize("replicas", [0, None])
def test_nobody_waits_for_a_group_that_has_no_pods(replicas: int | None) -> None:
    """Who scales it up later has it answered then."""
    group = {**LOGIN, "replicas": replicas}
    scenario = routed(workers=[*USUAL, {**LOGIN, "serves": ["encryption"]}])
    if replicas is None:
        del group["replicas"]
        scenario.edit(workers=[*USUAL, {**group, "serves": ["encryption"]}])
        scenario.converge()
        scenario.cluster.scale("rosebud-front", 0)
        scenario.cluster.settle()
        scenario.converge()
    before = config_of(scenario.cluster.world)
    scenario.edit(workers=[*USUAL, {**group, "serves": ["encryption", "login"]}])
    scenario.step()
    assert config_of(scenario.cluster.world) != before


def test_an_edit_of_the_router_alone_waits_for_nobody() -> None:
    scenario = routed()
    before = config_of(scenario.cluster.world)
    for pod in [key for key in scenario.cluster.live if key.kind == "Pod"]:
        del scenario.cluster.live[pod]
    scenario.edit(router={"holdSeconds": 7})
    scenario.step()
    assert config_of(scenario.cluster.world) != before
