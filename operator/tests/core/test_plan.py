"""What is pruned and what is kept, and when nothing is written at all."""

from typing import Any

import pytest
from tests.core import case
from tests.core.cluster import owner
from tests.core.scenario import Scenario, running
from tests.core.worlds import ALL, usual

from homeserver_operator.api.actions import Plan
from homeserver_operator.api.world import ObjectKey


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
        f"rosebud-{name}" for name in ("sync", "initial-sync", "client", "devices", "media")
    }


@pytest.mark.long
def test_another_controller_has_what_the_one_before_had_taken_away() -> None:
    scenario = Scenario(body=usual())
    scenario.converge()
    kinds = {"Ingress", "IngressRoute", "HTTPRoute"}
    controllers = {
        "traefik-crd": "IngressRoute",
        "gateway-api": "HTTPRoute",
        "haproxy-ingress": "Ingress",
        "traefik": "Ingress",
    }
    for controller, kind in controllers.items():
        gateway = {"gateway": {"name": "outer"}} if controller == "gateway-api" else {}
        scenario.edit(ingress={"controller": controller, **gateway})
        scenario.converge()
        assert {key.kind for key in scenario.cluster.live} & kinds == {kind}


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


@pytest.mark.long
def test_content_that_a_pod_still_mounts_is_kept() -> None:
    scenario = running(body=usual())
    maps = {key for key in scenario.cluster.live if key.kind == "ConfigMap"}
    old_pods = {k: o for k, o in scenario.cluster.live.items() if k.kind == "Pod"}
    scenario.edit(logLevel="ERROR")
    scenario.step()
    scenario.cluster.settle()
    scenario.cluster.live |= old_pods
    scenario.step()
    scenario.cluster.live |= old_pods
    scenario.step()
    scenario.cluster.live |= old_pods
    scenario.step()
    assert maps <= set(scenario.cluster.live), "the pods of the old revision are still there"
    scenario.cluster.settle()
    scenario.converge()
    assert not {key for key in maps if "-main-" in key.name} <= set(scenario.cluster.live)


def test_a_key_in_a_pods_environment_is_kept_as_long_as_the_pod() -> None:
    scenario = Scenario(body=usual())
    key = ObjectKey("Secret", "bucket")
    scenario.cluster.references[key] = {"AWS_ACCESS_KEY_ID": b"i", "AWS_SECRET_ACCESS_KEY": b"old"}
    scenario.edit(mediaStore={"s3": {"bucket": "hive", "credentials": {"secretName": "bucket"}}})
    scenario.converge()
    (copy,) = [k for k in scenario.cluster.live if k.name.startswith("rosebud-s3-")]
    old = {k: o for k, o in scenario.cluster.live.items() if k.kind == "Pod" and "media" in k.name}
    before = scenario.templates()
    scenario.cluster.references[key] = {"AWS_ACCESS_KEY_ID": b"i", "AWS_SECRET_ACCESS_KEY": b"new"}
    scenario.converge()
    after = scenario.templates()
    assert {n for n in before if before[n] != after[n]} == {"rosebud-media-0"}
    assert copy not in scenario.cluster.live
    scenario.cluster.references[key] = {"AWS_ACCESS_KEY_ID": b"i", "AWS_SECRET_ACCESS_KEY": b"old"}
    scenario.step()
    scenario.cluster.live |= old
    scenario.cluster.references[key] = {"AWS_ACCESS_KEY_ID": b"i", "AWS_SECRET_ACCESS_KEY": b"new"}
    scenario.step()
    scenario.step()
    assert copy in scenario.cluster.live, "a pod that restarts its container reads it again"


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
