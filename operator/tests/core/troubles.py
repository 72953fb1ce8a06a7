"""A homeserver that is ready, and what can happen to it."""

from typing import Any

from tests.core.scenario import Scenario, running

from homeserver_operator.api.names import PROCESS_LABEL
from homeserver_operator.api.world import ObjectKey

LATER = "2026-02-03T09:09:09Z"

MAIN = ObjectKey("Deployment", "aster-main")
BRISK = ObjectKey("Deployment", "aster-brisk")


def ready() -> Scenario:
    return running("shared-class")


def deployment(scenario: Scenario, key: ObjectKey, **status: Any) -> None:
    scenario.cluster.live[key]["status"].update(status)


def pod(scenario: Scenario, name: str, status: dict[str, Any]) -> None:
    scenario.cluster.live[ObjectKey("Pod", name)]["status"] = status


def crash(code: int, message: str) -> dict[str, Any]:
    return {
        "phase": "Running",
        "containerStatuses": [
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": code, "message": message}},
            }
        ],
    }


def main_is_down(scenario: Scenario) -> None:
    deployment(scenario, MAIN, readyReplicas=0)


def main_crashes(scenario: Scenario) -> None:
    main_is_down(scenario)
    pod(scenario, "aster-main-pod0", crash(1, "no route to the database"))


def main_is_refused(scenario: Scenario) -> None:
    main_is_down(scenario)
    pod(scenario, "aster-main-pod0", crash(78, "Missing server_name"))


def main_is_unscheduled(scenario: Scenario) -> None:
    main_is_down(scenario)
    no = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}
    pod(scenario, "aster-main-pod0", {"phase": "Pending", "conditions": [no]})


def pods_are_refused(scenario: Scenario, process: str, words: str) -> None:
    """The API server does not take the pods that a ReplicaSet wants to make."""
    refused = {"type": "ReplicaFailure", "status": "True", "message": words}
    for replica_set in scenario.cluster.controllers.replica_sets.values():
        if replica_set["metadata"]["labels"].get(PROCESS_LABEL) == process:
            replica_set["status"] = {"replicas": 0, "conditions": [refused]}


def main_violates_pod_security(scenario: Scenario) -> None:
    main_is_down(scenario)
    pods_are_refused(scenario, "main", 'pods "x" is forbidden: violates PodSecurity "restricted"')


def main_exceeds_the_quota(scenario: Scenario) -> None:
    main_is_down(scenario)
    pods_are_refused(scenario, "main", 'pods "x" is forbidden: exceeded quota: small')


def others_exceed_the_quota(scenario: Scenario) -> None:
    """Those of `brisk`, which has all that it needs; main alone is waited for."""
    main_is_down(scenario)
    pods_are_refused(scenario, "brisk", "exceeded quota: small")


def one_of_two_is_down(scenario: Scenario) -> None:
    deployment(scenario, BRISK, readyReplicas=1)


def old_pods_are_left(scenario: Scenario) -> None:
    deployment(scenario, BRISK, replicas=3, updatedReplicas=2, readyReplicas=3)


def not_yet_observed(scenario: Scenario) -> None:
    deployment(scenario, BRISK, observedGeneration=0)


def redis_is_down(scenario: Scenario) -> None:
    deployment(scenario, ObjectKey("Deployment", "aster-redis"), readyReplicas=0)


def a_user_secret_is_gone(scenario: Scenario) -> None:
    scenario.edit(configFrom=[{"secretName": "mail"}])


def the_spec_is_wrong(scenario: Scenario) -> None:
    scenario.edit(config={"redis": {}})


def paused(scenario: Scenario) -> None:
    scenario.edit(paused=True)


def nothing(_scenario: Scenario) -> None:
    pass
