"""Secrets that the operator makes: once in a homeserver's life, and never again."""

import pytest
from tests.core.cluster import owner
from tests.core.scenario import Scenario, running

from homeserver_operator.api.world import ObjectKey
from homeserver_operator.pipeline import generate

SIGNING_KEY = ObjectKey("Secret", "rosebud-signing-key")


def orders(scenario: Scenario) -> dict[str, tuple[tuple[str, str], ...]]:
    found = generate(scenario.body, scenario.cluster.world)
    return {order.manifest["metadata"]["name"]: order.kinds for order in found}


def test_a_new_homeserver_gets_all_that_it_needs() -> None:
    assert orders(Scenario("minimal")) == {
        "rosebud-copy-names": (("secret", "token"),),
        "rosebud-signing-key": (("signing.key", "signing-key"),),
        "rosebud-macaroon": (("secret", "token"),),
        "rosebud-form": (("secret", "token"),),
        "rosebud-registration": (("secret", "token"),),
        "rosebud-replication": (("secret", "token"),),
        "rosebud-postgres": (("password", "token"),),
        "rosebud-redis": (("password", "token"),),
    }


def test_what_the_owner_brings_is_not_made() -> None:
    assert orders(Scenario("own-secrets")).keys() == {
        "yarrow-copy-names", "yarrow-postgres", "yarrow-redis"
    }  # fmt: skip
    assert not {"lupin-postgres", "lupin-redis"} & orders(Scenario("external-stores")).keys()


def test_the_second_time_nothing_is_made() -> None:
    assert orders(running("minimal")) == {}


def test_an_operator_that_died_in_between_makes_the_rest() -> None:
    scenario = Scenario("minimal")
    first, *rest = generate(scenario.body, scenario.cluster.world)
    scenario.cluster.create(first)
    assert len(orders(scenario)) == len(rest)
    assert first.manifest["metadata"]["name"] not in orders(scenario)


@pytest.mark.parametrize("status_lost", [False, True], ids=["", "even if the status was lost"])
def test_one_that_is_lost_is_never_made_anew(status_lost: bool) -> None:
    """A new signing key would be a new identity; a new password would not open the database."""
    scenario = running("minimal")
    scenario.cluster.forget(SIGNING_KEY)
    del scenario.cluster.references[SIGNING_KEY]
    if status_lost:
        del scenario.body["status"]
    assert orders(scenario) == {}
    before = dict(scenario.cluster.live)
    decision, _told = scenario.step()
    assert decision.plan.empty
    assert decision.requeue_after
    assert scenario.condition("Ready")["reason"] == "GeneratedSecretLost"
    assert scenario.condition("Stalled")["status"] == "True"
    assert scenario.condition("Available")["status"] == "True", "what runs goes on"
    assert scenario.cluster.live == before
    (copy,) = [key.name for key in before if key.name.startswith("rosebud-signing-key-")]
    assert copy in scenario.condition("Ready")["message"], "the remedy names the copy"


def test_a_need_that_comes_later_is_met_later() -> None:
    scenario = running("own-secrets")
    scenario.edit(secrets=None)
    assert orders(scenario).keys() == {
        f"yarrow-{name}"
        for name in ("signing-key", "macaroon", "form", "registration", "replication")
    }
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_nothing_is_made_while_paused() -> None:
    scenario = Scenario("minimal")
    scenario.edit(paused=True)
    assert orders(scenario) == {}
    scenario.step()
    ready = scenario.condition("Ready")
    assert ready["reason"] == "SecretMissing"
    assert ready["message"].startswith("Secrets that are made once spec.paused is false: ")
    assert "rosebud-signing-key" in ready["message"]
    scenario.edit(paused=False)
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


@pytest.mark.parametrize(("first", "then"), [("Retain", "Delete"), ("Delete", "Retain")])
def test_who_changes_the_retention_changes_it_for_what_exists(first: str, then: str) -> None:
    """The signing key among it, which would else be lost against its owner's later word."""
    scenario = Scenario("minimal")
    scenario.edit(retention={"secrets": first})
    scenario.converge()
    made = set(scenario.cluster.references)
    values = dict(scenario.cluster.references)
    templates = scenario.templates()
    scenario.edit(retention={"secrets": then})
    decision, _told = scenario.step()
    assert {amend.key for amend in decision.plan.amends} == made
    assert not decision.plan.applies
    scenario.converge()
    for key in made:
        owners = scenario.cluster.live[key]["metadata"]["ownerReferences"]
        assert [owner["uid"] for owner in owners] == (["5f0c-uid"] if then == "Delete" else [])
    assert scenario.cluster.references == values
    assert scenario.templates() == templates, "nothing restarts for it"


def test_other_owners_of_a_generated_secret_stay_and_those_of_a_stranger_are_left() -> None:
    scenario = running("minimal")
    live = scenario.cluster.live
    backup = {"kind": "ConfigMap", "name": "b", "uid": "backup"}
    form = ObjectKey("Secret", "rosebud-form")
    live[SIGNING_KEY]["metadata"]["ownerReferences"] = [backup]
    live[form]["metadata"]["ownerReferences"] = [{**owner("stranger"), "kind": "Sealed"}]
    scenario.edit(retention={"secrets": "Delete"})
    plan = scenario.decide().plan
    owners = {
        amend.key: [owner["uid"] for owner in amend.metadata["ownerReferences"]]
        for amend in plan.amends
    }
    assert owners[SIGNING_KEY] == ["backup", "5f0c-uid"]
    assert form not in owners


def succeeded(scenario: Scenario) -> None:
    """The HomeServer was deleted and made anew by the same name; nothing was collected yet."""
    metadata = {**scenario.body["metadata"], "uid": "second-life", "generation": 1}
    scenario.body = {**scenario.body, "metadata": metadata}
    del scenario.body["status"]


def collect(scenario: Scenario, *, kinds: tuple[str, ...] = (), but: tuple[str, ...] = ()) -> None:
    """The garbage collector takes what the first life owned, of these kinds or of all but some."""
    cluster = scenario.cluster
    for key, live in list(cluster.live.items()):
        owners = live["metadata"].get("ownerReferences", ())
        chosen = key.kind in kinds if kinds else key.kind not in but
        if chosen and any(each["uid"] == "5f0c-uid" for each in owners):
            cluster.forget(key)
            cluster.references.pop(key, None)


@pytest.mark.parametrize(
    ("kinds", "but"),
    [
        pytest.param((), (), id="all at once"),
        pytest.param(("Secret",), (), id="the Secrets before the rest"),
        pytest.param((), ("Secret",), id="the Secrets after the rest"),
        pytest.param((), ("PersistentVolumeClaim",), id="the volumes after the rest"),
    ],
)
def test_a_second_life_takes_nothing_that_goes_with_the_first(
    kinds: tuple[str, ...], but: tuple[str, ...]
) -> None:
    """It would note the Secrets as its own, and miss them for ever once they are collected."""
    scenario = running("retention-delete")
    succeeded(scenario)
    for collected in ({}, {"kinds": kinds, "but": but}):
        if collected:
            collect(scenario, **collected)
        left = bool(scenario.cluster.live)
        decision, _told = scenario.step()
        if left:
            assert decision.plan.empty
            assert scenario.condition("Ready")["reason"] == "NameConflict"
            assert decision.requeue_after
    collect(scenario)
    scenario.converge()

    assert scenario.condition("Ready")["status"] == "True"
    secrets = scenario.cluster.world.of_kind("Secret")
    noted = scenario.body["status"]["generatedSecrets"]
    assert len(noted) == 8
    for name in noted:
        owners = secrets[name]["metadata"]["ownerReferences"]
        assert [each["uid"] for each in owners] == ["second-life"]


def test_what_another_controller_restores_is_taken_as_it_is() -> None:
    """A backup may come as an object that makes the Secret, with its labels."""
    scenario = running("minimal")
    sealed = {"kind": "SealedSecret", "name": "s", "uid": "sealed", "controller": True}
    scenario.cluster.live[SIGNING_KEY]["metadata"]["ownerReferences"] = [sealed]
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


@pytest.mark.parametrize(("retention", "owned"), [("Retain", False), ("Delete", True)])
def test_generated_secrets_outlive_the_homeserver_unless_told_otherwise(
    retention: str, owned: bool
) -> None:
    scenario = Scenario("minimal")
    scenario.edit(retention={"secrets": retention})
    for order in generate(scenario.body, scenario.cluster.world):
        assert ("ownerReferences" in order.manifest["metadata"]) is owned
