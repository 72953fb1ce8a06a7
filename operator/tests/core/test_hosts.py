"""Two homeservers that want one host: who has it, what the other is told, and what goes on."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core import case, kstatus
from tests.core.scenario import NOW, Scenario, running
from tests.core.test_edge import every_controller

from homeserver_operator import pipeline
from homeserver_operator.api.world import HostClaim, Object, World
from homeserver_operator.hosts import claim_of
from homeserver_operator.pipeline import Decision

HOST = "matrix.example.org"
EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def homeserver(name: str, created: str, ingress: Object, server_name: str = "") -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": created}
    spec = {"serverName": server_name or f"{name}.example", "ingress": ingress}
    return case.as_stored({"metadata": metadata, "spec": spec})


def accepted(body: Object) -> HostClaim:
    return claim_of(body, World(), accepted=True)


OTHER = homeserver("oak", EARLIER, {"host": HOST})


def beside(scenario: Scenario, *rivals: HostClaim) -> Decision:
    """One reconcile beside others."""
    world = replace(scenario.cluster.world, rivals=rivals)
    decision = pipeline.decide(scenario.body, world, case.DEFAULTS, NOW)
    told = pipeline.report(scenario.body, decision, world, now=NOW)
    scenario.cluster.execute(decision.plan)
    if told.status is not None:
        scenario.body = {**scenario.body, "status": told.status}
    kstatus.check(scenario.body)
    return decision


def newcomer(ingress: Object, server_name: str = "") -> Scenario:
    scenario = Scenario(body=homeserver("elm", LATER, ingress, server_name))
    for order in pipeline.generate(scenario.body, scenario.cluster.world):
        scenario.cluster.create(order)
    return scenario


def at(host: str, created: str = LATER) -> Scenario:
    """One that is ready at a host."""
    return running(body=homeserver("elm", created, {"host": host}))


def types(scenario: Scenario) -> set[str]:
    return {each["type"] for each in scenario.body["status"]["conditions"]}


WELL_KNOWN = {"host": "a.example.org", "wellKnown": {}}
UNASKED = {"host": HOST, "wellKnown": {"enabled": False}}
GATEWAY = {"host": HOST, "controller": "gateway-api"}

MEETINGS: dict[str, tuple[Object, Object, str | None]] = {
    "the host of the clients": ({"host": HOST}, {"host": HOST}, "spec.ingress.host: "),
    "another host": ({"host": "a.example.org"}, {"host": HOST}, None),
    "the server name, where no host is named":
        ({}, {"host": "elm.example"}, "spec.ingress.host (left out): elm.example leads to"),
    "a host for other servers": (
        {"host": "a.example.org", "federation": {"host": HOST}}, {"host": HOST},
        "spec.ingress.federation.host: "),
    "a host whose other has it for other servers":
        ({"host": HOST}, {"host": "a.example.org", "federation": {"host": HOST}},
        "spec.ingress.host: "),
    "a host of which the other serves .well-known as well":
        (WELL_KNOWN, {"host": "elm.example"}, "spec.ingress.wellKnown: elm.example"),
    "a host of which the other leaves .well-known alone":
        (WELL_KNOWN, {"host": "elm.example", "wellKnown": {"enabled": False}}, None),
    "no way in": ({"host": HOST, "enabled": False}, {"host": HOST}, None),
    "none of the other's": ({"host": HOST}, {"host": HOST, "enabled": False}, None),
    "one IngressClass":
        ({"host": HOST, "className": "a"}, {"host": HOST, "className": "a"}, "spec.ingress.host: "),
    "two IngressClasses":
        ({"host": HOST, "className": "a"}, {"host": HOST, "className": "b"}, None),
    "an IngressClass that may be the default":
        ({"host": HOST, "className": "a"}, {"host": HOST}, "spec.ingress.host: "),
    "one Gateway": (GATEWAY | {"gateway": {"name": "g"}},
        GATEWAY | {"gateway": {"name": "g", "namespace": "meadow"}}, "spec.ingress.host: "),
    "two Gateways": (GATEWAY | {"gateway": {"name": "g"}},
        GATEWAY | {"gateway": {"name": "g", "namespace": "hill"}}, None),
}  # fmt: skip


@pytest.mark.parametrize("title", MEETINGS)
def test_a_newcomer_is_refused_what_would_be_mixed_with_anothers(title: str) -> None:
    mine, theirs, words = MEETINGS[title]
    scenario = newcomer(mine)
    decision = beside(scenario, accepted(homeserver("oak", EARLIER, theirs)))

    ready = scenario.condition("Ready")
    assert (ready["reason"] == "HostTaken") is (words is not None)
    assert decision.plan.empty is (words is not None)
    assert (words or "") in ready["message"]


def test_the_refusal_names_field_host_and_homeserver_and_what_to_do() -> None:
    scenario = newcomer({"host": HOST})
    decision = beside(scenario, accepted(OTHER))

    assert scenario.condition("Accepted")["message"] == (
        "spec.ingress.host: matrix.example.org leads to HomeServer meadow/oak already: choose "
        "another host, or have that one leave it. At one host each would get requests of the "
        "other's, so nothing of this spec is applied, and what ran before goes on; once the host "
        "is free, it is applied by itself"
    )
    assert kstatus.read(scenario.body) == "Failed"
    assert decision.claim.hosts == {HOST}
    assert not decision.claim.has


def test_a_newcomer_gets_the_host_once_it_is_free() -> None:
    scenario = newcomer({"host": HOST})
    beside(scenario, accepted(OTHER))
    decision = beside(scenario)

    assert not decision.plan.empty
    assert scenario.condition("Accepted")["status"] == "True"
    assert (HOST, "/_matrix") in decision.claim.has


def test_a_spec_that_is_wrong_by_itself_is_told_what_is_wrong_with_it() -> None:
    scenario = newcomer({"host": HOST})
    scenario.edit(config={"listeners": []})
    beside(scenario, accepted(OTHER))

    assert scenario.condition("Accepted")["reason"] == "InvalidSpec"


@pytest.mark.parametrize("accepted_before", [True, False], ids=["accepted", "refused"])
def test_who_only_wants_a_host_keeps_nobody_from_it(*, accepted_before: bool) -> None:
    scenario = newcomer({"host": HOST})
    beside(scenario, claim_of(OTHER, World(), accepted=accepted_before))

    assert (scenario.condition("Accepted")["status"] == "False") is accepted_before


def test_an_edit_to_a_taken_host_changes_nothing_of_what_runs() -> None:
    scenario = at("elm.example.org")
    before = scenario.cluster.world.children
    scenario.edit(ingress={"host": HOST}, logLevel="WARNING")
    decision = beside(scenario, accepted(OTHER))

    assert scenario.condition("Accepted")["reason"] == "HostTaken"
    assert scenario.condition("Available")["status"] == "True"
    assert scenario.cluster.world.children == before
    # Nor is the host that it has for others to take.
    assert decision.claim.has == {("elm.example.org", "/")}

    scenario.edit(ingress={"host": "elm.example.org"})
    scenario.converge()
    assert scenario.condition("Ready")["status"] == "True"


def test_a_host_is_had_until_nothing_leads_there_any_more() -> None:
    scenario = at("old.example.org")
    scenario.edit(ingress={"host": "new.example.org"})

    assert {host for host, _ in beside(scenario).claim.has} == {
        "old.example.org",
        "new.example.org",
    }
    assert {host for host, _ in beside(scenario).claim.has} == {"new.example.org"}


@pytest.mark.parametrize(
    ("created", "told"),
    [pytest.param(LATER, True, id="the later"), pytest.param(EARLIER, False, id="the earlier")],
)
def test_who_has_a_host_already_goes_on_with_it_and_the_later_is_told(
    created: str, *, told: bool
) -> None:
    """As when an operator gave it to both that did not look."""
    scenario = at(HOST, created)
    theirs = homeserver("oak", EARLIER if created == LATER else LATER, {"host": HOST})

    assert beside(scenario, accepted(theirs)).plan.empty
    assert ("HostShared" in types(scenario)) is told
    assert scenario.condition("Ready")["status"] == "True"

    # Whatever else is wanted of it is done.
    scenario.edit(ingress={"host": HOST, "adminApi": True}, logLevel="WARNING")
    assert not beside(scenario, accepted(theirs)).plan.empty
    assert scenario.condition("Accepted")["status"] == "True"

    scenario.converge()
    assert "HostShared" not in types(scenario)


def test_the_warning_names_field_host_and_homeserver_and_what_to_do() -> None:
    scenario = at(HOST)
    beside(scenario, accepted(OTHER))

    assert scenario.condition("HostShared")["message"] == (
        "spec.ingress.host: matrix.example.org leads to HomeServer meadow/oak, which is older, as "
        "well as to this one, and each may get requests that are the other's: have one of them "
        "leave it"
    )


def test_of_many_at_one_host_some_are_named_and_the_others_counted() -> None:
    scenario = at(HOST)
    others = (homeserver(f"oak-{number}", EARLIER, {"host": HOST}) for number in range(9))
    beside(scenario, *map(accepted, others))

    message = scenario.condition("HostShared")["message"]
    assert message.count("leads to HomeServer") == 4
    assert message.endswith("and 5 more")


def test_of_two_of_one_moment_the_second_by_name_is_the_later() -> None:
    for other, told in (("ash", True), ("oak", False)):
        scenario = at(HOST)
        beside(scenario, accepted(homeserver(other, LATER, {"host": HOST})))

        assert ("HostShared" in types(scenario)) is told


@pytest.mark.parametrize("wrong", [{"listeners": []}, {}], ids=["a refused spec", "a good one"])
def test_what_leads_to_a_homeserver_is_its_whatever_becomes_of_an_edit(wrong: Object) -> None:
    scenario = at(HOST)
    scenario.edit(config=wrong)
    decision = beside(scenario)

    assert (HOST, "/_matrix") in decision.claim.has


def test_somebody_who_deletes_its_objects_does_not_take_a_host_from_a_homeserver() -> None:
    scenario = at(HOST)
    for key in [key for key in scenario.cluster.live if key.kind == "Ingress"]:
        scenario.cluster.forget(key)
    decision = beside(scenario, accepted(OTHER))

    assert {step.key.kind for step in decision.plan.applies} == {"Ingress"}


@every_controller
def test_a_live_object_of_any_kind_tells_its_host(controller: str) -> None:
    gateway = {"gateway": {"name": "g"}} if controller == "gateway-api" else {}
    ingress = {"host": HOST, "controller": controller, "federation": {"host": "f.example.org"}}
    scenario = running(body=homeserver("elm", LATER, ingress | gateway))
    claim = claim_of(scenario.body, scenario.cluster.world, accepted=False)

    assert {host for host, _ in claim.has} == {HOST, "f.example.org"}
