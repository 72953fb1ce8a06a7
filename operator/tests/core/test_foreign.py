"""Fields of others in pod templates: told, left alone, and never mistaken for ours."""

from typing import Any

import pytest
from tests.core import case
from tests.core.cluster import managed
from tests.core.scenario import NOW, Scenario, running

from homeserver_operator.api.names import FIELD_MANAGER
from homeserver_operator.api.world import ObjectKey, World
from homeserver_operator.pipeline import decide, report
from homeserver_operator.plan.records import NOBODY

KEY = ObjectKey("Deployment", "aster-main")


def record(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.children[KEY]["metadata"]["managedFields"]
    return found


def entry(manager: str, template: dict[str, Any], operation: str = "Update") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:spec": {"f:template": managed(template)}},
    }


def told(scenario: Scenario, world: World) -> str | None:
    decision = decide(scenario.body, world, case.DEFAULTS, NOW)
    status = report(scenario.body, decision, world, now=NOW).status or scenario.body["status"]
    conditions = {each["type"]: each["message"] for each in status["conditions"]}
    return conditions.get("ForeignFields")


def one_container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "synapse", **fields}]}}


TEMPLATES: dict[str, tuple[dict[str, Any], str | None]] = {
    "a variable": (
        one_container(env=[{"name": "THEIRS", "value": "1"}]),
        "aster-main: spec.containers[synapse].env[THEIRS] (by kubectl-edit)",
    ),
    "a container beside ours": (
        {"spec": {"containers": [{"name": "sidecar", "image": "x"}]}},
        "aster-main: spec.containers[sidecar] (by kubectl-edit)",
    ),
    "a field of the pod": (
        {"spec": {"dnsPolicy": "Default"}},
        "aster-main: spec.dnsPolicy (by kubectl-edit)",
    ),
    "an annotation with dots in its name": (
        {"metadata": {"annotations": {"a.example/b": "c"}}},
        "aster-main: metadata.annotations[a.example/b] (by kubectl-edit)",
    ),
    "what `kubectl rollout restart` leaves": (
        {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}},
        None,
    ),
    "what is ours as well": (one_container(image="synapse:1"), None),
}


@pytest.mark.parametrize("what", TEMPLATES)
def test_what_others_have_written_is_named_with_its_place_and_writer(what: str) -> None:
    template, words = TEMPLATES[what]
    scenario = running("shared-class")
    world = scenario.cluster.world
    record(world).append(entry("kubectl-edit", template))

    assert decide(scenario.body, world, case.DEFAULTS, NOW).plan.empty
    found = told(scenario, world)
    assert (found is None) is (words is None)
    assert words is None or words in str(found)


def test_eight_are_named_and_the_others_are_counted() -> None:
    scenario = running("shared-class")
    world = scenario.cluster.world
    record(world).append(entry("them", one_container(env=[{"name": f"V{n}"} for n in range(11)])))
    found = str(told(scenario, world))
    assert found.count("(by them)") == 8
    assert "and 3 more" in found


@pytest.mark.parametrize("manager", ["kube-controller-manager", "homeserver-operator-scale"])
def test_who_writes_outside_of_the_template_is_not_named(manager: str) -> None:
    scenario = running("shared-class")
    world = scenario.cluster.world
    record(world).append({"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    assert told(scenario, world) is None


def test_a_record_that_was_wiped_is_made_again_by_applying_what_is_there() -> None:
    scenario = running("shared-class")
    world = scenario.cluster.world
    del world.children[KEY]["metadata"]["managedFields"]

    plan = decide(scenario.body, world, case.DEFAULTS, NOW).plan
    assert [(step.key, step.reason) for step in plan.steps] == [
        (KEY, "nothing says which of its fields are ours")
    ]


def test_whoever_got_all_fields_at_a_wipe_is_taken_out_of_the_record_and_nobody_else() -> None:
    scenario = running("shared-class")
    world = scenario.cluster.world
    theirs = entry("kubectl-edit", one_container(env=[{"name": "THEIRS"}]))
    before = [*record(world), theirs]
    record(world)[:] = [*before, entry(NOBODY, world.children[KEY]["spec"]["template"])]

    plan = decide(scenario.body, world, case.DEFAULTS, NOW).plan
    (order,) = plan.amends
    assert plan.steps == (order,)
    assert order.metadata == {"managedFields": before}
    assert order.version == world.children[KEY]["metadata"]["resourceVersion"]
    assert f"(by {NOBODY})" not in str(told(scenario, world))


def test_a_record_without_us_is_never_shortened() -> None:
    """Our apply comes first: what nobody owns could not be taken away later."""
    scenario = running("shared-class")
    world = scenario.cluster.world
    record(world)[:] = [entry(NOBODY, world.children[KEY]["spec"]["template"])]
    plan = decide(scenario.body, world, case.DEFAULTS, NOW).plan
    assert not plan.amends
    assert [step.key for step in plan.steps] == [KEY]
    assert FIELD_MANAGER not in {each["manager"] for each in record(world)}
