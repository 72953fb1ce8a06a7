"""A route class that moves: who answers it until those who are to have it serve."""

from typing import Any

import pytest
from tests.core.scenario import Scenario, running
from tests.core.worlds import CLIENT, MEDIA, PERSISTER, SENDER, SYNC, USUAL, usual

from homeserver_operator.api.names import (
    PROCESS_LABEL,
    SHARES_LABEL_PREFIX,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.world import ObjectKey

OTHERS = [SENDER, PERSISTER, CLIENT, MEDIA]
MORE = {"name": "more", "replicas": 1, "serves": ["sync"]}
RENAMED = {**SYNC, "name": "syncers"}
LOGIN = {"name": "front", "replicas": 1, "serves": ["login"]}
ENTRY = {"name": "entry", "serves": ["sso"]}
CROWDED = "0/3 nodes are available: 3 Insufficient memory."
CLOSED = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient memory."
NOWHERE = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."


def selector(scenario: Scenario, route_class: str) -> dict[str, str]:
    service = scenario.cluster.live[ObjectKey("Service", f"rosebud-{route_class}")]
    found: dict[str, str] = service["spec"]["selector"]
    return found


def group(scenario: Scenario, route_class: str) -> str | None:
    """The group to which a class's Service leads."""
    return selector(scenario, route_class).get(WORKER_GROUP_LABEL)


def there(scenario: Scenario, process: str) -> bool:
    return ObjectKey("Deployment", f"rosebud-{process}") in scenario.cluster.live


def pods(scenario: Scenario, process: str) -> list[dict[str, Any]]:
    return [
        live
        for key, live in scenario.cluster.live.items()
        if key.kind == "Pod" and live["metadata"]["labels"].get(PROCESS_LABEL) == process
    ]


def starting(process: str, **spec: Any) -> Scenario:
    """A homeserver after an edit that brings a process; its pods are there, and none is ready."""
    scenario = running(body=usual())
    scenario.edit(**spec)
    scenario.step()
    key = ObjectKey("Deployment", f"rosebud-{process}")
    scenario.cluster.controllers.surge(key, scenario.cluster.live)
    scenario.step()
    return scenario


def ready(scenario: Scenario, process: str, count: int) -> None:
    """So many pods of a process serve."""
    for pod in pods(scenario, process)[:count]:
        pod["status"]["containerStatuses"][0]["started"] = True
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    scenario.step()


def has_no_node(scenario: Scenario, process: str, message: str) -> None:
    for pod in pods(scenario, process):
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        pod["status"] = {"phase": "Pending", "conditions": [condition | {"message": message}]}
    scenario.step()


def test_a_group_by_another_name_has_the_class_when_as_many_serve() -> None:
    """One alone would be overrun by what two answered."""
    scenario = starting("syncers", workers=[RENAMED, *OTHERS])
    for count in (0, 1):
        ready(scenario, "syncers", count)
        assert group(scenario, "sync") == group(scenario, "initial-sync") == "sync"
        assert there(scenario, "sync")
    ready(scenario, "syncers", 2)
    assert group(scenario, "sync") == group(scenario, "initial-sync") == "syncers"
    scenario.step()
    assert not there(scenario, "sync")
    scenario.converge()


def test_the_status_says_where_requests_go_meanwhile() -> None:
    scenario = starting("syncers", workers=[RENAMED, *OTHERS])
    assert scenario.condition("Ready")["message"].endswith(
        "Until then Services lead where they led before: rosebud-initial-sync, rosebud-sync"
    )
    ready(scenario, "syncers", 2)
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_a_group_that_is_smaller_than_the_one_before_need_not_be_as_many() -> None:
    scenario = starting("syncers", workers=[{**RENAMED, "replicas": 1}, *OTHERS])
    assert group(scenario, "sync") == "sync"
    ready(scenario, "syncers", 1)
    assert group(scenario, "sync") == "syncers"


def test_who_has_no_pod_left_is_not_waited_with() -> None:
    scenario = starting("syncers", workers=[RENAMED, *OTHERS])
    for pod in pods(scenario, "sync"):
        pod["metadata"]["deletionTimestamp"] = scenario.now
    scenario.step()
    assert group(scenario, "sync") == "syncers"
    scenario.step()
    assert not there(scenario, "sync")


WITHOUT_ROOM: dict[str, tuple[dict[str, Any], str, bool]] = {
    "the old make room": ({}, CROWDED, False),
    "for nonsense nobody makes room": ({}, NOWHERE, True),
    "nobody makes room on nodes that are closed": ({}, CLOSED, True),
    "who asks for more than the old had would not find it there":
        ({"resources": {"requests": {"memory": "900Gi"}}}, CROWDED, True),
    "who may not go where the old are would not find it there":
        ({"nodeSelector": {"disk": "ssd"}}, CROWDED, True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "message", "stays"), WITHOUT_ROOM.values(), ids=WITHOUT_ROOM.keys()
)
def test_who_finds_no_room_beside_those_that_go(
    spec: dict[str, Any], message: str, stays: bool
) -> None:
    scenario = starting("syncers", workers=[{**RENAMED, **spec}, *OTHERS])
    has_no_node(scenario, "syncers", message)
    scenario.step()
    assert there(scenario, "sync") is stays
    assert group(scenario, "sync") == ("sync" if stays else "syncers")


def test_those_that_go_make_room_within_a_quota() -> None:
    scenario = starting("syncers", workers=[RENAMED, *OTHERS])
    _exceed_quota(scenario, "syncers", made=1)
    assert there(scenario, "sync"), "one may come, and has not yet"
    ready(scenario, "syncers", 1)
    assert group(scenario, "sync") == "syncers"
    scenario.step()
    assert not there(scenario, "sync")


def _exceed_quota(scenario: Scenario, process: str, made: int) -> None:
    for pod in pods(scenario, process)[made:]:
        scenario.cluster.forget(ObjectKey("Pod", pod["metadata"]["name"]))
    message = 'pods "syncers" is forbidden: exceeded quota: team, used: cpu=8, limited: cpu=8'
    refused = {"type": "ReplicaFailure", "status": "True", "message": message}
    deployment = scenario.cluster.live[ObjectKey("Deployment", f"rosebud-{process}")]
    for replica_set in scenario.cluster.controllers.sets_of(deployment):
        replica_set["status"] = {"replicas": made, "conditions": [refused]}
    scenario.step()


def test_who_has_to_stay_for_another_class_makes_no_room() -> None:
    """Else nobody would answer the one, until somebody can answer the other."""
    both = {**LOGIN, "name": "both", "serves": ["login", "pagination"]}
    scenario = running(body={**usual(), "spec": {**usual()["spec"], "workers": [*USUAL, both]}})
    pager = {**LOGIN, "name": "pager", "serves": ["pagination"]}
    scenario.edit(workers=[*USUAL, LOGIN, pager])
    scenario.step()
    for process, message in (("front", CROWDED), ("pager", NOWHERE)):
        key = ObjectKey("Deployment", f"rosebud-{process}")
        scenario.cluster.controllers.surge(key, scenario.cluster.live)
        has_no_node(scenario, process, message)
    scenario.step()
    assert there(scenario, "both")
    assert group(scenario, "login") == group(scenario, "pagination") == "both"
    has_no_node(scenario, "pager", CROWDED)
    scenario.step()
    assert not there(scenario, "both")


@pytest.mark.parametrize("message", [CROWDED, NOWHERE], ids=["for want of room", "for nonsense"])
def test_who_finds_no_node_beside_those_that_stay_gets_no_request(message: str) -> None:
    scenario = starting("front", workers=[*USUAL, LOGIN])
    has_no_node(scenario, "front", message)
    assert selector(scenario, "login")[PROCESS_LABEL] == "main"


def test_a_class_that_is_shared_stays_with_the_first_group_while_that_waits_for_approval() -> None:
    """The second serves long since, but alone; and the first has no label yet that both have."""
    scenario = running(body=usual())
    scenario.edit(restartPolicy={"approval": "Manual"}, workers=[*USUAL, MORE])
    for _ in range(3):
        scenario.step()
        scenario.cluster.settle()
    assert scenario.condition("Ready")["reason"] == "ApprovalNeeded"
    assert group(scenario, "sync") == "sync"
    scenario.approve()
    scenario.converge()
    assert selector(scenario, "sync")[f"{SHARES_LABEL_PREFIX}sync"] == "true"


def test_a_class_that_was_mains_is_mains_until_somebody_serves() -> None:
    """By its own Service, so that what leads traffic in may name that at once."""
    scenario = starting("front", workers=[*USUAL, LOGIN])
    assert selector(scenario, "login") == selector(scenario, "main")
    ready(scenario, "front", 1)
    assert group(scenario, "login") == "front"
    scenario.converge()


def test_a_class_that_is_still_mains_follows_main_through_a_restart() -> None:
    scenario = starting("front", workers=[*USUAL, LOGIN])
    before = selector(scenario, "main")
    main = ObjectKey("Deployment", "rosebud-main")
    annotations = scenario.cluster.live[main]["spec"]["template"]["metadata"]["annotations"]
    annotations["kubectl.kubernetes.io/restartedAt"] = scenario.now
    scenario.cluster.controllers.surge(main, scenario.cluster.live)
    scenario.step()
    assert selector(scenario, "login") == selector(scenario, "main") == before
    old, new = pods(scenario, "main")
    new["status"]["containerStatuses"][0]["started"] = True
    old["metadata"]["deletionTimestamp"] = scenario.now
    scenario.step()
    assert selector(scenario, "login") == selector(scenario, "main") != before


def test_a_class_that_one_process_is_to_have_is_mains_until_that_serves() -> None:
    scenario = starting("entry-0", workers=[*USUAL, ENTRY])
    assert selector(scenario, "sso") == selector(scenario, "main")
    ready(scenario, "entry-0", 1)
    assert selector(scenario, "sso")[PROCESS_LABEL] == "entry-0"


def test_a_class_moves_from_one_process_to_several() -> None:
    scenario = running(body={**usual(), "spec": {
        **usual()["spec"], "workers": [*USUAL, {**ENTRY, "serves": ["sso", "login"]}],
    }})  # fmt: skip
    scenario.edit(workers=[*USUAL, ENTRY, {**LOGIN, "replicas": 3}])
    scenario.step()
    assert selector(scenario, "login")[PROCESS_LABEL] == "entry-0"
    scenario.converge()
    assert group(scenario, "login") == "front"


def test_one_process_is_not_taken_for_the_several_of_its_name() -> None:
    one = {"name": LOGIN["name"], "serves": ["sso", "login"]}
    scenario = running(body={**usual(), "spec": {**usual()["spec"], "workers": [*USUAL, one]}})
    assert selector(scenario, "login")[PROCESS_LABEL] == f"{LOGIN['name']}-0"
    scenario.edit(workers=[*USUAL, {**LOGIN, "replicas": 2}])
    scenario.step()
    assert selector(scenario, "login")[PROCESS_LABEL] == f"{LOGIN['name']}-0"
    assert there(scenario, f"{LOGIN['name']}-0")
    scenario.converge()
    assert group(scenario, "login") == LOGIN["name"]
    assert not there(scenario, f"{LOGIN['name']}-0")


def test_a_class_that_nobody_has_any_more_is_mains_at_once() -> None:
    scenario = running(body=usual())
    scenario.edit(workers=OTHERS)
    scenario.step()
    assert not there(scenario, "sync")
    assert ObjectKey("Service", "rosebud-sync") not in scenario.cluster.live


def test_taking_an_edit_back_leads_back_at_once() -> None:
    scenario = starting("front", workers=[*USUAL, LOGIN])
    scenario.edit(workers=USUAL)
    scenario.step()
    assert ObjectKey("Service", "rosebud-login") not in scenario.cluster.live
    assert not there(scenario, "front")
    scenario.converge()


def test_who_begins_to_serve_gets_requests_once_it_listens() -> None:
    """Its pod is ready long since, but for a duty alone."""
    scenario = running(body=usual())
    scenario.edit(workers=[SYNC, {**SENDER, "serves": ["login"]}, PERSISTER, CLIENT, MEDIA])
    scenario.step()
    assert selector(scenario, "login")[PROCESS_LABEL] == "main"
    scenario.converge()
    assert selector(scenario, "login")[PROCESS_LABEL] == "sender-0"


SERVING_SENDER = {**SENDER, "serves": ["login"]}


def handing_over(
    after: list[dict[str, Any]], before: list[dict[str, Any]], **spec: Any
) -> Scenario:
    """A homeserver a step after an edit by which whom it concerns ceases to serve a class."""
    others = [SYNC, PERSISTER, CLIENT, MEDIA]
    whole = {**usual()["spec"], "workers": [*others, *before]}
    scenario = running(body={**usual(), "spec": whole})
    scenario.edit(workers=[*others, *after], **spec)
    scenario.step()
    return scenario


def touched(scenario: Scenario, process: str) -> bool:
    """Whether the Deployment of a process has been changed since it was made."""
    deployment = scenario.cluster.live[ObjectKey("Deployment", f"rosebud-{process}")]
    return bool(deployment["metadata"]["generation"] > 1)


def test_who_ceases_to_serve_goes_on_until_the_next_serves() -> None:
    scenario = handing_over([SENDER, LOGIN], before=[SERVING_SENDER])
    front = ObjectKey("Deployment", "rosebud-front")
    scenario.cluster.controllers.surge(front, scenario.cluster.live)
    scenario.step()
    scenario.step()
    assert not touched(scenario, "sender-0")
    assert selector(scenario, "login")[PROCESS_LABEL] == "sender-0"
    assert scenario.body["status"]["plan"]["because"].startswith("waiting for front to be warm")
    ready(scenario, "front", 1)
    assert group(scenario, "login") == "front"
    assert touched(scenario, "sender-0")
    scenario.converge()


def test_others_restart_while_who_ceases_to_serve_goes_on() -> None:
    """For whom it waits may be one of them, and in a later wave."""
    courier = {"name": "courier", "runs": ["outboundFederation"]}
    scenario = handing_over(
        [SENDER, {**courier, "serves": ["login"]}], before=[SERVING_SENDER, courier]
    )
    assert not touched(scenario, "sender-0")
    assert touched(scenario, "courier-0")
    scenario.converge()
    assert selector(scenario, "login")[PROCESS_LABEL] == "courier-0"
    assert touched(scenario, "sender-0")


def serving(name: str, *classes: str) -> dict[str, Any]:
    return {"name": name, "replicas": 1, "serves": [*classes]}


SHARED_LOGIN = [serving("a", "login"), serving("b", "login")]
SHARED = [serving("a", "login", "pagination"), serving("b", "login", "accountData")]
SHARED_NO_MORE = [serving("a", "pagination"), serving("b", "accountData"), LOGIN]


def test_who_ceases_to_share_a_class_goes_on_until_the_next_serves() -> None:
    """A Service finds those who share a class by a label that they are to lose."""
    scenario = handing_over(SHARED_NO_MORE, before=SHARED)
    assert not touched(scenario, "a")
    assert not touched(scenario, "b")
    scenario.converge()
    assert group(scenario, "login") == "front"


def test_who_ceases_to_share_a_class_and_does_not_serve_may_change() -> None:
    """Perhaps it would serve then."""
    scenario = running(body={**usual(), "spec": {**usual()["spec"], "workers": [*USUAL, *SHARED]}})
    for pod in pods(scenario, "a"):
        pod["status"]["conditions"] = []
    scenario.cluster.live[ObjectKey("Deployment", "rosebud-a")]["status"]["readyReplicas"] = 0
    scenario.edit(workers=[*USUAL, *SHARED_NO_MORE])
    scenario.step()
    assert touched(scenario, "a")
    assert not touched(scenario, "b")


def test_groups_that_share_a_class_stay_until_all_who_are_to_share_it_serve() -> None:
    """By their label the Service would lead to any of them, so it stays as it is."""
    scenario = handing_over(
        [SENDER, serving("c", "login"), serving("d", "login")], before=[SENDER, *SHARED_LOGIN]
    )
    led = selector(scenario, "login")
    for process in ("c", "d"):
        key = ObjectKey("Deployment", f"rosebud-{process}")
        scenario.cluster.controllers.surge(key, scenario.cluster.live)
    for process in ("c", "d"):
        scenario.step()
        assert there(scenario, "a")
        assert there(scenario, "b")
        ready(scenario, process, 1)
    scenario.step()
    assert not there(scenario, "a")
    assert not there(scenario, "b")
    assert selector(scenario, "login") == led
    scenario.converge()


def test_groups_that_share_a_class_make_room_for_those_who_are_to_share_it() -> None:
    scenario = handing_over(
        [SENDER, serving("c", "login"), serving("d", "login")], before=[SENDER, *SHARED_LOGIN]
    )
    for process in ("c", "d"):
        key = ObjectKey("Deployment", f"rosebud-{process}")
        scenario.cluster.controllers.surge(key, scenario.cluster.live)
        has_no_node(scenario, process, CROWDED)
    scenario.step()
    assert not there(scenario, "a")
    assert not there(scenario, "b")


def test_who_has_each_others_classes_next_does_not_wait_for_each_other() -> None:
    pages = [serving("c", "pagination"), serving("d", "pagination")]
    scenario = handing_over(
        [SENDER, *({**each, "serves": ["pagination"]} for each in SHARED_LOGIN),
         *({**each, "serves": ["login"]} for each in pages)],
        before=[SENDER, *SHARED_LOGIN, *pages],
    )  # fmt: skip
    scenario.converge()
    assert touched(scenario, "a")
    assert touched(scenario, "d")


@pytest.mark.parametrize(
    ("route_class", "process"),
    [("typing", "typing-0"), ("media", "media-0")],
    ids=["typing", "media"],
)
def test_what_main_cannot_answer_never_goes_to_main(route_class: str, process: str) -> None:
    """Somebody has deleted a Service while its process is down."""
    workers = [*USUAL, {"name": "typing", "writes": ["typing"]}]
    scenario = running(body={**usual(), "spec": {**usual()["spec"], "workers": workers}})
    for pod in pods(scenario, process):
        pod["status"]["conditions"] = []
    scenario.cluster.forget(ObjectKey("Service", f"rosebud-{route_class}"))
    scenario.step()
    assert selector(scenario, route_class)[PROCESS_LABEL] == process
