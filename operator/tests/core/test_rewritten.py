"""What an admission webhook makes of an apply: told, counted as done, and not applied for ever."""

from dataclasses import replace
from typing import Any

from tests.core.scenario import ROUNDS, Scenario, running

from homeserver_operator.api.actions import Apply
from homeserver_operator.api.world import ObjectKey

MAIN = ObjectKey("Deployment", "aster-main")
FIELD = "spec.template.spec.containers[synapse].imagePullPolicy"


def always_pull(found: dict[str, Any]) -> None:
    if found["kind"] == "Deployment":
        for container in found["spec"]["template"]["spec"]["containers"]:
            container["imagePullPolicy"] = "Always"


def rewritten(name: str = "shared-class") -> Scenario:
    """A homeserver whose Deployments a webhook changes, with nothing left to do."""
    scenario = running(name)
    scenario.cluster.webhook = always_pull
    scenario.edit(logLevel="WARNING")
    return scenario.converge()


def told(scenario: Scenario) -> str | None:
    conditions = {each["type"]: each["message"] for each in scenario.body["status"]["conditions"]}
    return conditions.get("FieldsRewritten")


def test_it_is_ready_with_what_a_webhook_makes_of_it_and_says_so() -> None:
    scenario = rewritten()
    assert scenario.condition("Ready")["status"] == "True"
    assert f"Deployment aster-main: {FIELD}" in str(told(scenario))


def test_an_edit_is_carried_out_all_the_same() -> None:
    scenario = rewritten()
    before = scenario.templates()["aster-main"]
    scenario.edit(logLevel="DEBUG")
    assert scenario.converge().templates()["aster-main"] != before
    assert scenario.condition("Ready")["status"] == "True"


def test_another_value_than_the_webhooks_is_repaired() -> None:
    scenario = rewritten()
    scenario.cluster.webhook = lambda _found: None
    containers: Any = scenario.cluster.live[MAIN]["spec"]["template"]["spec"]["containers"]
    containers[0]["imagePullPolicy"] = "Never"
    scenario.converge()
    assert containers != scenario.templates()["aster-main"]["spec"]["containers"]
    assert "aster-main" not in str(told(scenario))


def test_it_is_tried_again_after_a_while_and_nobody_waits_for_that() -> None:
    scenario = rewritten()
    scenario.cluster.rewrites[MAIN] = replace(scenario.cluster.rewrites[MAIN], due=True)
    decision, report = scenario.step()
    (order,) = decision.plan.applies
    assert (order.key, order.again) == (MAIN, True)
    assert report.status is None
    scenario.cluster.webhook = lambda _found: None
    for key, found in scenario.cluster.rewrites.items():
        scenario.cluster.rewrites[key] = replace(found, due=True)
    scenario.step()
    scenario.converge()
    assert told(scenario) is None
    assert scenario.condition("Ready")["status"] == "True"


def test_what_a_webhook_changes_only_when_it_is_made_is_repaired() -> None:
    scenario = Scenario("shared-class")
    seen = set()

    def once(found: dict[str, Any]) -> None:
        if found["metadata"]["name"] not in seen:
            seen.add(found["metadata"]["name"])
            always_pull(found)

    scenario.cluster.webhook = once
    scenario.converge()
    assert told(scenario) is None
    (container,) = scenario.templates()["aster-main"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"


def test_a_webhook_with_ever_other_words_makes_no_end_of_writes() -> None:
    scenario = running("shared-class")
    words = iter(range(10**6))

    def restless(found: dict[str, Any]) -> None:
        if found["kind"] == "Deployment":
            found["metadata"]["labels"]["app.kubernetes.io/name"] = f"v{next(words)}"

    scenario.cluster.webhook = restless
    scenario.edit(logLevel="WARNING")
    writes = 0
    for _ in range(ROUNDS):
        decision, _report = scenario.step()
        writes += sum(isinstance(step, Apply) for step in decision.plan.steps)
        scenario.cluster.settle()
    assert decision.plan.empty
    assert writes < ROUNDS
    assert "Deployment aster-main: metadata.labels.app.kubernetes.io/name" in str(told(scenario))
