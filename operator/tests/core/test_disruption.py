"""Which groups are kept from losing several pods at once, and from standing on one node."""

from typing import Any

import pytest
from tests.core.scenario import Scenario, running
from tests.core.worlds import usual

from homeserver_operator.api.world import Object, ObjectKey

AUTOSCALE = {"maxReplicas": 3, "metrics": [{"type": "Pods"}]}

BUDGETS: dict[str, tuple[dict[str, Any], bool]] = {
    "several that only serve": ({"serves": ["sync"], "replicas": 2}, True),
    "one that only serves": ({"serves": ["sync"], "replicas": 1}, False),
    "none": ({"serves": ["sync"], "replicas": 0}, False),
    "one that somebody may scale": ({"serves": ["sync"]}, True),
    "an autoscaled group": ({"serves": ["sync"], "autoscale": AUTOSCALE}, True),
    "several writers": ({"writes": ["events"], "replicas": 2}, True),
    "one writer": ({"writes": ["typing"]}, False),
    "one holder of a duty": ({"runs": ["federationSender"], "replicas": 1}, False),
}


def homeserver(**group: Any) -> Scenario:
    return running(body={**usual(), "spec": {**usual()["spec"], "workers": [group]}})


@pytest.mark.parametrize("group", BUDGETS)
def test_who_has_a_budget(group: str) -> None:
    fields, expected = BUDGETS[group]
    scenario = homeserver(name="bee", **fields)
    assert [*scenario.cluster.world.of_kind("PodDisruptionBudget")] == (
        ["rosebud-bee"] if expected else []
    )


@pytest.mark.parametrize("fields", [{"serves": ["sync"]}, {"writes": ["events"]}])
def test_a_budget_is_for_all_pods_of_its_group_and_no_other(fields: dict[str, Any]) -> None:
    others = usual()["spec"]["workers"]
    bee = {"name": "bee", "replicas": 3, **fields}
    scenario = running(body={**usual(), "spec": {**usual()["spec"], "workers": [*others, bee]}})
    budget = scenario.cluster.world.children[ObjectKey("PodDisruptionBudget", "rosebud-bee")]
    wanted = budget["spec"]["selector"]["matchLabels"].items()
    pods = scenario.cluster.world.of_kind("Pod")
    chosen = [name for name, pod in pods.items() if wanted <= pod["metadata"]["labels"].items()]
    assert len(chosen) == 3
    assert all(name.startswith("rosebud-bee") for name in chosen)


def spread(scenario: Scenario) -> dict[str, list[Object]]:
    found = {}
    for name, template in scenario.templates().items():
        if constraints := template["spec"].get("topologySpreadConstraints"):
            found[name.removeprefix("rosebud-")] = constraints
    return found


def test_pods_of_a_group_keep_to_different_nodes_where_they_can() -> None:
    (constraint,) = spread(homeserver(name="bee", serves=["sync"], replicas=2))["bee"]
    assert constraint == {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {
            "matchLabels": {
                "homeserver-operator.io/homeserver": "rosebud",
                "homeserver-operator.io/group": "bee",
            }
        },
    }


def test_single_processes_and_stores_are_left_where_they_are() -> None:
    scenario = running(body=usual())
    # Media are to have company without a restart.
    assert spread(scenario).keys() == {"sync", "client", "media-0"}


def test_all_members_of_a_sharded_group_keep_to_different_nodes() -> None:
    found = spread(homeserver(name="bee", writes=["events"], replicas=3))
    assert found.keys() == {"bee-0", "bee-1", "bee-2"}


def test_a_second_process_of_a_group_that_only_serves_restarts_no_first_one() -> None:
    alone = {"name": "bee", "replicas": 1, "serves": ["sync"]}
    scenario = homeserver(**alone)
    before = scenario.templates()
    scenario.edit(workers=[{**alone, "replicas": 2}])
    assert scenario.converge().templates() == before
    pods = scenario.cluster.world.of_kind("Pod").values()
    assert sum("bee" in pod["metadata"]["name"] for pod in pods) == 2


SHARDED = [("writes", "events"), ("writes", "receipts"), ("runs", "federationSender"),
           ("runs", "pusher"), ("runs", "outboundFederation")]  # fmt: skip


@pytest.mark.parametrize(("field", "claim"), SHARDED)
def test_a_second_member_restarts_the_first_by_its_configuration_already(
    field: str, claim: str
) -> None:
    """Or spread, which comes with the second member, would restart it for its own sake."""
    alone = {"name": "bee", "replicas": 1, field: [claim], "topologySpreadConstraints": []}
    scenario = homeserver(**alone)
    before = scenario.templates()["rosebud-bee-0"]
    scenario.edit(workers=[{**alone, "replicas": 2}])
    assert scenario.converge().templates()["rosebud-bee-0"] != before


@pytest.mark.parametrize("own", [[], [{"maxSkew": 2, "topologyKey": "zone"}]])
def test_a_users_own_spread_replaces_ours(own: list[Object]) -> None:
    found = spread(
        homeserver(name="bee", serves=["sync"], replicas=2, topologySpreadConstraints=own)
    )
    assert found.get("bee", []) == own
