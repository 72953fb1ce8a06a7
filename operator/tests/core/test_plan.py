"""Plans over a cluster in memory: they end, they heal, and they touch nothing without need."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.core import case
from tests.core.cluster import owner
from tests.core.scenario import Scenario, running

from homeserver_operator.api.actions import Plan
from homeserver_operator.api.names import REVISION_LABEL
from homeserver_operator.api.world import ObjectKey

Objects = dict[ObjectKey, dict[str, Any]]


@pytest.mark.parametrize("name", case.names())
def test_a_cluster_that_is_as_wanted_is_left_alone(name: str) -> None:
    scenario = running(name)
    assert scenario.decide().plan == Plan()
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
    assert wanted_state(scenario) == before
    assert scenario.converge().decide().plan.empty


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
        for field in ("uid", "generation"):
            live["metadata"].pop(field, None)
        live.pop("status", None)
    return state


def service(live: Objects, name: str) -> dict[str, Any]:
    return live[ObjectKey("Service", name)]


def container(live: Objects, name: str) -> dict[str, Any]:
    spec = live[ObjectKey("Deployment", name)]["spec"]["template"]["spec"]
    found: dict[str, Any] = spec["containers"][0]
    return found


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


def workers(*groups: dict[str, Any]) -> list[dict[str, Any]]:
    return list(groups)


SYNC = {"name": "sync", "replicas": 2, "serves": ["sync"]}
SENDER = {"name": "sender", "replicas": 1, "runs": ["federationSender"]}
PERSISTER = {"name": "persister", "replicas": 1, "writes": ["events"]}
CLIENT = {"name": "client", "replicas": 1, "serves": ["client"]}
MEDIA = {"name": "media", "replicas": 1, "serves": ["media"], "runs": ["mediaBackgroundJobs"]}
USUAL = workers(SYNC, SENDER, PERSISTER, CLIENT, MEDIA)
ALL = {"main", "sync", "sender-0", "persister-0", "client", "media-0"}

EDITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "more sync workers: nobody": (
        {"workers": workers({**SYNC, "replicas": 4}, SENDER, PERSISTER, CLIENT, MEDIA)}, set()),
    "groups in another order: nobody": ({"workers": USUAL[::-1]}, set()),
    "another group that only serves: nobody": (
        {"workers": [*USUAL, {"name": "more", "replicas": 1, "serves": ["login"]}]}, set()),
    "a group that only serves goes: nobody": (
        {"workers": workers(SYNC, SENDER, PERSISTER, MEDIA)}, set()),
    "a class moves from one group to another: nobody": (
        {"workers": workers({**SYNC, "serves": ["sync", "client"]}, SENDER, PERSISTER,
                            {**CLIENT, "serves": ["login"]}, MEDIA)}, set()),
    "an ingress option: nobody": ({"ingress": {"className": "outer"}}, set()),
    "a media option: the media repository": ({"config": {"max_upload_size": "90M"}}, {"media-0"}),
    "an option of everybody: all": ({"config": {"enable_search": False}}, ALL),
    "an option of one group: that group": (
        {"workers": workers({**SYNC, "config": {"caches": {"global_factor": 2}}}, SENDER,
                            PERSISTER, CLIENT, MEDIA)}, {"sync"}),
    "an option of main: main": ({"main": {"config": {"enable_search": False}}}, {"main"}),
    "the log level of one group: that group": (
        {"workers": workers(SYNC, SENDER, {**PERSISTER, "logLevel": "DEBUG"}, CLIENT, MEDIA)},
        {"persister-0"}),
    "resources of one group: that group": (
        {"workers": workers(SYNC, SENDER, PERSISTER,
                            {**CLIENT, "resources": {"requests": {"cpu": 1}}}, MEDIA)}, {"client"}),
    "a second federation sender: main and the senders": (
        {"workers": workers(SYNC, {**SENDER, "replicas": 2}, PERSISTER, CLIENT, MEDIA)},
        {"main", "sender-0"}),
    "the first pusher: main": (
        {"workers": [*USUAL, {"name": "pusher", "runs": ["pusher"]}]}, {"main"}),
    "a second event persister: all": (
        {"workers": workers(SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA)}, ALL),
    "a writer of another stream: all": (
        {"workers": [*USUAL, {"name": "typing", "writes": ["typing"]}]}, ALL),
    "the image: all": ({"image": "runtime.invalid/synapse:8"}, ALL),
    "the log level: all": ({"logLevel": "DEBUG"}, ALL),
    "a file of a Secret: all": (
        {"files": [{"name": "extra", "secretName": "extra"}]}, ALL),
    "the main process's resources: main": (
        {"main": {"resources": {"requests": {"cpu": 1}}}}, {"main"}),
    "a larger volume: nobody": ({"mediaStore": {"volume": {"size": "20Gi"}}}, set()),
    "what outlives it: nobody": ({"retention": {"media": "Delete"}}, set()),
    "the managed Redis's resources: Redis": (
        {"redis": {"managed": {"resources": {"requests": {"cpu": 1}}}}}, {"redis"}),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_restarts_those_whom_it_concerns_and_no_other(edit: str) -> None:
    change, expected = EDITS[edit]
    scenario = running(body=usual())
    scenario.cluster.references[ObjectKey("Secret", "extra")] = {"a": b"b"}
    before = scenario.templates()
    scenario.edit(**change)
    after = scenario.converge().templates()
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    assert {name.removeprefix("rosebud-") for name in changed} == expected
    for name in changed:
        assert revision(before[name]) != revision(after[name])


def usual() -> dict[str, Any]:
    body = case.load("minimal").body
    return {**body, "spec": {**body["spec"], "workers": USUAL}}


def revision(template: Any) -> str:
    return str(template["metadata"]["labels"][REVISION_LABEL])


def test_a_changed_secret_of_the_users_restarts_who_mounts_it() -> None:
    scenario = running("config-overlays")
    before = scenario.templates()
    scenario.cluster.references[ObjectKey("Secret", "turn")] = {
        "homeserver.yaml": b"turn_shared_secret: other"
    }
    after = scenario.converge().templates()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"sorrel-main", "sorrel-clover", "sorrel-daisy-0"}


@pytest.mark.parametrize("field", ["image", "postgres_image", "redis_image", "image_pull_policy"])
def test_an_upgrade_of_the_operator_restarts_nothing(field: str) -> None:
    """A homeserver keeps the defaults of its first reconcile until its owner names others."""
    scenario = running("shared-class")
    scenario.defaults = replace(scenario.defaults, **{field: "Always"})
    assert scenario.decide().plan.empty
    more = {"name": "more", "serves": ["pagination"]}
    scenario.edit(workers=[*scenario.body["spec"]["workers"], more])
    before = scenario.templates()
    after = scenario.converge().templates()
    assert {name: after[name] for name in before} == before
    images = {template["spec"]["containers"][0]["image"] for template in after.values()}
    assert "Always" not in images


@pytest.mark.parametrize(
    ("asked", "stored"),
    [("1024Mi", "1Gi"), (1, "1"), (0.5, "500m"), ("1000m", "1"), ("1e3", "1k"), ("2", "2000m")],
)
def test_a_quantity_in_other_words_is_no_difference(asked: object, stored: str) -> None:
    scenario = running(body=usual())
    scenario.edit(main={"resources": {"requests": {"memory": asked}}})
    scenario.converge()
    container(scenario.cluster.live, "rosebud-main")["resources"]["requests"]["memory"] = stored
    assert scenario.decide().plan.empty


def test_another_quantity_is_a_difference() -> None:
    scenario = running(body=usual())
    scenario.edit(main={"resources": {"requests": {"memory": "1Gi"}}})
    scenario.converge()
    container(scenario.cluster.live, "rosebud-main")["resources"]["requests"]["memory"] = "1G"
    (apply,) = scenario.decide().plan.applies
    assert "resources.requests.memory" in apply.reason


@pytest.mark.parametrize("retention", ["Retain", "Delete"])
def test_what_nothing_wants_goes_and_data_stay(retention: str) -> None:
    """Delete means with the HomeServer, not as soon as the spec names another place."""
    scenario = Scenario(body=usual())
    scenario.edit(retention={"database": retention, "media": retention})
    scenario.converge()
    everything = set(scenario.cluster.live)
    scenario.edit(workers=None, postgres=external(scenario),
                  mediaStore={"volume": {"existingClaim": "theirs"}})  # fmt: skip
    scenario.converge()
    gone = everything - set(scenario.cluster.live)
    assert {key for key in gone if key.kind == "Deployment"} == {
        ObjectKey("Deployment", f"rosebud-{name}") for name in (ALL - {"main"}) | {"postgres"}
    }
    assert not {key for key in gone if key.kind == "PersistentVolumeClaim"}
    assert {key.name for key in gone if key.kind == "Ingress"} == {
        f"rosebud-{name}" for name in ("sync", "client", "media")
    }


def external(scenario: Scenario) -> dict[str, Any]:
    login = {"username": b"u", "password": b"p"}
    scenario.cluster.references[ObjectKey("Secret", "login")] = login
    return {"host": "pg", "credentials": {"secretName": "login"}}


@pytest.mark.parametrize("retention", ["Retain", "Delete"])
def test_generated_secrets_are_never_deleted(retention: str) -> None:
    """With Delete they carry our owner reference, as everything does that pruning may take."""
    scenario = Scenario(body=usual())
    scenario.edit(retention=dict.fromkeys(("secrets", "database", "media"), retention))
    scenario.converge()
    made = {key for key in scenario.cluster.references if key.kind == "Secret"}
    assert len(made) == len(case.generated(case.load("minimal").server))
    scenario.cluster.references[ObjectKey("Secret", "own")] = {"key": b"word"}
    scenario.edit(postgres=external(scenario),
                  secrets={"macaroonSecretKey": {"secretName": "own", "key": "key"}})  # fmt: skip
    scenario.converge()
    assert made <= set(scenario.cluster.live)


def test_content_that_a_pod_still_mounts_is_kept() -> None:
    scenario = running(body=usual())
    maps = {key for key in scenario.cluster.live if key.kind == "ConfigMap"}
    scenario.edit(logLevel="ERROR")
    scenario.step()
    scenario.cluster.settle()
    old_pods = {k: o for k, o in scenario.cluster.live.items() if k.kind == "Pod"}
    scenario.step()
    scenario.cluster.live |= old_pods
    scenario.step()
    assert maps <= set(scenario.cluster.live), "the pods of the old revision are still there"
    scenario.converge()
    assert not {key for key in maps if "-main-" in key.name} <= set(scenario.cluster.live)


def test_nothing_is_written_over_a_namesake_of_somebody_else() -> None:
    scenario = running("shared-class")
    key = ObjectKey("Service", "aster-sync")
    scenario.cluster.live[key]["metadata"]["ownerReferences"] = [owner("stranger")]
    scenario.edit(logLevel="ERROR")
    decision, _told = scenario.step()
    assert decision.plan == Plan()
    assert decision.findings.strangers == (key,)
    assert decision.requeue_after
    assert scenario.condition("Accepted")["reason"] == "NameConflict"
    assert scenario.condition("Stalled")["status"] == "True"


def test_a_paused_homeserver_is_left_alone() -> None:
    scenario = running("shared-class")
    scenario.edit(paused=True, logLevel="ERROR")
    decision, _told = scenario.step()
    assert decision.plan == Plan()
    assert scenario.condition("Ready")["status"] == "Unknown"
    assert scenario.condition("Paused")["status"] == "True"
    scenario.edit(paused=None)
    assert not scenario.decide().plan.empty
