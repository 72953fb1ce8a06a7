"""Which pods an edit restarts: those whom it concerns, and no other."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.scenario import running
from tests.core.worlds import ALL, CLIENT, MEDIA, PERSISTER, SENDER, SYNC, USUAL, container, usual

from homeserver_operator.api.names import PROCESS_LABEL, REVISION_LABEL
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.pipeline import decide

pytestmark = pytest.mark.long

EDITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "more sync workers: nobody": (
        {"workers": [{**SYNC, "replicas": 4}, SENDER, PERSISTER, CLIENT, MEDIA]}, set()),
    "groups in another order: nobody": ({"workers": USUAL[::-1]}, set()),
    "another group that only serves: nobody": (
        {"workers": [*USUAL, {"name": "more", "replicas": 1, "serves": ["login"]}]}, set()),
    "a group that only serves goes: nobody": (
        {"workers": [SYNC, SENDER, PERSISTER, MEDIA]}, set()),
    "a class moves from one group to another: nobody": (
        {"workers": [{**SYNC, "serves": ["sync", "client"]}, SENDER, PERSISTER,
                            {**CLIENT, "serves": ["login"]}, MEDIA]}, set()),
    "an ingress option: nobody": ({"ingress": {"className": "outer"}}, set()),
    "another ingress controller: nobody": ({"ingress": {"controller": "traefik"}}, set()),
    "what other servers are told: main": (
        {"ingress": {"wellKnown": {}, "federation": {"host": "fed.example"}}}, {"main"}),
    "a media option: the media repository": ({"config": {"max_upload_size": "90M"}}, {"media-0"}),
    "an option of everybody: all": ({"config": {"enable_search": False}}, ALL),
    "an option of one group: that group": (
        {"workers": [{**SYNC, "config": {"caches": {"global_factor": 2}}}, SENDER,
                            PERSISTER, CLIENT, MEDIA]}, {"sync"}),
    "an option of main: main": ({"main": {"config": {"enable_search": False}}}, {"main"}),
    "the log level of one group: that group": (
        {"workers": [SYNC, SENDER, {**PERSISTER, "logLevel": "DEBUG"}, CLIENT, MEDIA]},
        {"persister-0"}),
    "resources of one group: that group": (
        {"workers": [SYNC, SENDER, PERSISTER,
                            {**CLIENT, "resources": {"requests": {"cpu": 1}}}, MEDIA]}, {"client"}),
    "a second federation sender: main and the senders": (
        {"workers": [SYNC, {**SENDER, "replicas": 2}, PERSISTER, CLIENT, MEDIA]},
        {"main", "sender-0"}),
    "the first pusher: main": (
        {"workers": [*USUAL, {"name": "pusher", "runs": ["pusher"]}]}, {"main"}),
    "a second event persister: all": (
        {"workers": [SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]}, ALL),
    "a writer of another stream: all": (
        {"workers": [*USUAL, {"name": "typing", "writes": ["typing"]}]}, ALL),
    "the image: all": ({"image": "runtime.invalid/synapse:8"}, ALL),
    "the log level: all": ({"logLevel": "DEBUG"}, ALL),
    "a file of a Secret: all": (
        {"files": [{"name": "extra", "secretName": "extra"}]}, ALL),
    "the main process's resources: main": (
        {"main": {"resources": {"requests": {"cpu": 1}}}}, {"main"}),
    "a larger volume: nobody": ({"mediaStore": {"volume": {"size": "20Gi"}}}, set()),
    "when restarts may happen: nobody": (
        {"restartPolicy": {"maintenanceWindows": [{"start": "02:00", "duration": "2h"}]}}, set()),
    "what outlives it: nobody": ({"retention": {"media": "Delete"}}, set()),
    "the managed Redis's resources: Redis": (
        {"redis": {"managed": {"resources": {"requests": {"cpu": 1}}}}}, {"redis"}),
}  # fmt: skip


def test_media_repositories_that_come_and_go_restart_nobody() -> None:
    """One of them writes what administrators decide on media, and goes on to."""
    shared = {"volume": {"accessMode": "ReadWriteMany"}}
    body = usual()
    spec = {**body["spec"], "mediaStore": shared, "ingress": {"adminApi": True}}
    scenario = running(body={**body, "spec": spec})
    before = scenario.templates()
    for replicas in (2, 3, 1):
        scenario.edit(workers=[SYNC, SENDER, PERSISTER, CLIENT, {**MEDIA, "replicas": replicas}])
        after = scenario.converge().templates()
        assert {name: after[name] for name in before} == before
        service = scenario.cluster.live[ObjectKey("Service", "rosebud-media-quarantine")]
        assert service["spec"]["selector"][PROCESS_LABEL] == "media-0"


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


PERSISTERS = [SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]


@pytest.mark.parametrize(
    ("made", "seconds"),
    [
        ("2026-02-03T04:05:05Z", 2),
        ("2026-02-03T04:04:06Z", 12),
        ("2026-02-02T04:05:06Z", 60),
    ],
    ids=["a second ago", "a minute ago", "yesterday"],
)
def test_pods_that_do_not_serve_are_asked_less_and_less_often(made: str, seconds: float) -> None:
    scenario = running(body=usual())
    scenario.edit(workers=PERSISTERS)
    scenario.step()
    scenario.cluster.settle()
    for key, item in scenario.cluster.live.items():
        if key.kind == "Pod":
            item["metadata"]["creationTimestamp"] = made
    assert scenario.decide().requeue_after == seconds


def test_a_window_that_closes_does_not_end_the_asking() -> None:
    scenario = running(body=usual())
    window = {"start": "04:00", "duration": "1h"}
    scenario.edit(workers=PERSISTERS, restartPolicy={"maintenanceWindows": [window]})
    scenario.step()
    scenario.cluster.settle()
    for key, item in scenario.cluster.live.items():
        if key.kind == "Pod":
            item["metadata"]["creationTimestamp"] = "2026-02-03T04:05:05Z"
    scenario.now = "2026-02-03T05:00:01Z"
    decision = scenario.decide()
    assert decision.findings.outlook
    assert decision.findings.outlook.restarts.consent.retry_at
    assert decision.requeue_after == 60


def test_nobody_is_asked_while_a_restart_is_held() -> None:
    scenario = running(body=usual())
    scenario.edit(workers=PERSISTERS, restartPolicy={"approval": "Manual"})
    scenario.step()
    scenario.cluster.settle()
    decision = scenario.decide()
    assert decision.plan.empty
    assert decision.requeue_after is None


def test_who_has_just_lost_its_fences_is_asked_again_soon() -> None:
    """PostgreSQL was restarted: they are taken again, which shows in no object."""
    scenario = running(body=usual())
    world = scenario.cluster.world
    assert scenario.decide().requeue_after is None
    states = {name: {**state, "fences": {}} for name, state in world.states.items()}
    lost = decide(scenario.body, replace(world, states=states), scenario.defaults, scenario.now)
    assert lost.requeue_after == 2.0
