"""A group that is to have nobody, and is led to until what leads to it leads elsewhere."""

from typing import Any

import pytest
from tests.core.scenario import Scenario, running
from tests.core.test_former import CROWDED, has_no_node
from tests.core.worlds import CLIENT, MEDIA, PERSISTER, SENDER, SYNC, usual

from homeserver_operator.api.names import WORKER_GROUP_LABEL
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.build.edge import leads_to

EMPTIED = {**SYNC, "replicas": 0}
OTHERS = [SENDER, PERSISTER, CLIENT, MEDIA]
IMAGE = "registry.example/synapse:other"

DEPLOYMENT = ObjectKey("Deployment", "rosebud-sync")
SERVICE = ObjectKey("Service", "rosebud-sync")

SWITCHES: dict[str, dict[str, Any]] = {
    "with another image": {"image": IMAGE, "workers": [EMPTIED, *OTHERS]},
    "with a second sender, for which it need not restart itself": {
        "workers": [EMPTIED, {**SENDER, "replicas": 2}, *OTHERS[1:]]
    },
}
HELD: dict[str, dict[str, Any]] = {
    "an approval": {"approval": "Manual"},
    "a maintenance window": {"maintenanceWindows": [{"start": "22:00", "duration": "1h"}]},
}


def held(policy: dict[str, Any]) -> Scenario:
    body = usual()
    return running(body={**body, "spec": {**body["spec"], "restartPolicy": policy}})


def sync_replicas(scenario: Scenario) -> int:
    found: int = scenario.cluster.live[DEPLOYMENT]["spec"]["replicas"]
    return found


def is_led_to(scenario: Scenario) -> bool:
    """Whether what leads traffic in names the class's Service, and that the group."""
    service = scenario.cluster.live.get(SERVICE)
    return (
        service is not None
        and service["spec"]["selector"].get(WORKER_GROUP_LABEL) == "sync"
        and any(
            leads_to(live, SERVICE.name)
            for key, live in scenario.cluster.live.items()
            if key.kind == "Ingress"
        )
    )


@pytest.mark.parametrize("policy", HELD.values(), ids=HELD)
@pytest.mark.parametrize("spec", SWITCHES.values(), ids=SWITCHES)
def test_it_serves_on_while_the_switch_that_comes_with_it_waits_for(
    policy: dict[str, Any], spec: dict[str, Any]
) -> None:
    scenario = held(policy)
    scenario.edit(**spec)
    for _ in range(4):
        scenario.step()
        scenario.cluster.settle()
        assert is_led_to(scenario)
        assert sync_replicas(scenario) == SYNC["replicas"]
    assert scenario.body["status"]["plan"]["phase"] == "Held"
    scenario.approve()
    scenario.now = "2026-02-03T22:30:00Z"
    scenario.converge()
    assert sync_replicas(scenario) == 0
    assert not is_led_to(scenario)


@pytest.mark.parametrize("spec", SWITCHES.values(), ids=SWITCHES)
def test_it_serves_on_while_the_switch_that_comes_with_it_warms_up(spec: dict[str, Any]) -> None:
    scenario = running(body=usual())
    scenario.edit(**spec)
    scenario.step()
    assert is_led_to(scenario)
    assert sync_replicas(scenario) == SYNC["replicas"]
    scenario.converge()
    assert sync_replicas(scenario) == 0


@pytest.mark.parametrize("workers", [[EMPTIED, *OTHERS], OTHERS], ids=["emptied", "gone"])
def test_what_leads_to_it_alone_goes_when_all_that_leads_to_others_turns(
    workers: list[dict[str, Any]],
) -> None:
    """Else its class is nobody's until the switch is over, while main could answer it."""
    scenario = running(body=usual())
    scenario.edit(workers=workers, image=IMAGE, restartPolicy={"maxWarming": 99})
    decision, _told = scenario.step()
    assert not decision.plan.deletes
    scenario.cluster.settle()
    plan = scenario.decide().plan
    assert {each.key.kind for each in plan.scales} >= {"ReplicaSet"}
    assert {each.key for each in plan.deletes} == {
        ObjectKey("Ingress", "rosebud-sync"),
        ObjectKey("Ingress", "rosebud-initial-sync"),
    }
    scenario.converge()


OTHER_EDITS: dict[str, dict[str, Any]] = {
    "with nothing else": {},
    "with everybody's log level": {"logLevel": "DEBUG"},
    "with everybody's log level, which waits for an approval": {
        "logLevel": "DEBUG",
        "restartPolicy": {"approval": "Manual"},
    },
}


@pytest.mark.parametrize("also", OTHER_EDITS.values(), ids=OTHER_EDITS)
def test_without_a_switch_it_is_empty_at_once(also: dict[str, Any]) -> None:
    scenario = running(body=usual())
    scenario.edit(workers=[EMPTIED, *OTHERS], **also)
    scenario.step()
    assert sync_replicas(scenario) == 0
    assert not is_led_to(scenario)


def moved() -> Scenario:
    """Its class is to be that of a group whose pods are there, and not ready."""
    scenario = running(body=usual())
    scenario.edit(workers=[EMPTIED, {**SYNC, "name": "syncers"}, *OTHERS])
    scenario.step()
    key = ObjectKey("Deployment", "rosebud-syncers")
    scenario.cluster.controllers.surge(key, scenario.cluster.live)
    scenario.step()
    return scenario


def test_it_serves_on_until_a_group_that_is_new_has_its_class() -> None:
    scenario = moved()
    assert is_led_to(scenario)
    assert sync_replicas(scenario) == SYNC["replicas"]
    scenario.cluster.settle()
    scenario.converge()
    assert sync_replicas(scenario) == 0
    assert not is_led_to(scenario)


def test_it_makes_room_for_a_group_that_is_new_and_finds_none_beside_it() -> None:
    scenario = moved()
    has_no_node(scenario, "syncers", CROWDED)
    assert sync_replicas(scenario) == 0
