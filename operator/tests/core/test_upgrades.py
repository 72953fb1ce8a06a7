"""An upgrade of the operator restarts nothing by itself; an edit or an approval moves all."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from tests.core import strategies
from tests.core.case import DEFAULTS
from tests.core.scenario import Scenario, running
from tests.core.strategies import Spec
from tests.core.test_properties import scenario as told_of
from tests.core.upgrades import NEXT_IMAGE, Install, installer
from tests.core.worlds import ALL, CLIENT, MEDIA, PERSISTER, SENDER, SYNC, USUAL, usual

from homeserver_operator import build
from homeserver_operator.api.actions import Plan
from homeserver_operator.api.names import RENDERING_ANNOTATION
from homeserver_operator.api.restarts import Wave
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.fences import Mark

pytestmark = pytest.mark.long

LOUD = [SYNC, SENDER, PERSISTER, {**CLIENT, "logLevel": "DEBUG"}, MEDIA]
"""An edit that concerns one process."""


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    return installer(monkeypatch)


def upgraded(install: Install, rendering: int = 2, **how: Any) -> Scenario:
    """It runs, another operator has looked at it, and nothing is left to do."""
    scenario = running(body=usual())
    install(scenario, rendering, **how)
    return scenario.converge()


def approve(scenario: Scenario) -> None:
    scenario.approve(scenario.body["status"]["release"]["plan"])


def images(scenario: Scenario) -> set[str]:
    """Of Synapse's processes."""
    return {
        template["spec"]["containers"][0]["image"]
        for name, template in scenario.templates().items()
        if name.removeprefix("rosebud-") not in {"postgres", "redis"}
    }


def renderings(scenario: Scenario) -> set[Any]:
    """By what the launchers read, of all that lives."""
    files = {
        volume["configMap"]["name"]
        for template in scenario.templates().values()
        for volume in template["spec"]["volumes"]
        if "configMap" in volume
    }
    maps = scenario.cluster.world.of_kind("ConfigMap")
    launchers = [maps[name]["data"].get("launcher.yaml") for name in files]
    return {yaml.safe_load(text).get("news", 1) for text in launchers if text}


def restarting(scenario: Scenario) -> tuple[Wave, ...]:
    """What the next step tells, without doing it."""
    outlook = scenario.decide().findings.outlook
    assert outlook is not None
    return outlook.restarts.waves


def pods(scenario: Scenario) -> set[str]:
    return {
        live["metadata"]["uid"] for key, live in scenario.cluster.live.items() if key.kind == "Pod"
    }


def release_of(scenario: Scenario) -> dict[str, Any] | None:
    found: dict[str, Any] | None = scenario.body["status"].get("release")
    return found


@pytest.mark.parametrize(
    ("rendering", "how"),
    [
        (2, {}),
        (2, {"image": DEFAULTS.image}),
        (1, {}),
        (0, {}),
        (2, {"store": "postgres"}),
        (2, {"store": "redis"}),
    ],
    ids=[
        "rendering and image",
        "rendering alone",
        "image alone",
        "a downgrade",
        "and a database that starts in another way",
        "and Redis",
    ],
)
def test_an_upgrade_restarts_nothing(install: Install, rendering: int, how: dict[str, Any]) -> None:
    scenario = running(body=usual())
    before, lived = dict(scenario.cluster.live), pods(scenario)
    install(scenario, rendering, **how)
    decision, _told = scenario.step()
    assert decision.plan.empty, "a new operator writes nothing but the status"
    scenario.converge()
    assert scenario.cluster.live == before
    assert pods(scenario) == lived
    assert scenario.condition("Ready")["status"] == "True"
    assert "plan" not in scenario.body["status"]
    assert scenario.body["status"]["image"] == DEFAULTS.image
    waits = scenario.condition("UpToDate")
    assert (waits["status"], waits["reason"]) == ("False", "UpgradeWaits")
    plan = scenario.body["status"]["release"]["plan"]
    assert f"`kubectl homeserver approve rosebud` (plan {plan})" in waits["message"]
    assert "main" in waits["message"]


def test_before_an_upgrade_all_is_up_to_date() -> None:
    scenario = running(body=usual())
    assert scenario.condition("UpToDate")["status"] == "True"
    assert release_of(scenario) is None


def from_the_previous_chart() -> Scenario:
    """Of an operator that did not count renderings."""
    scenario = running(body=usual())
    for key, live in scenario.cluster.live.items():
        if key.kind == "Deployment":
            del live["metadata"]["annotations"][RENDERING_ANNOTATION]
    return scenario


def test_from_the_previous_chart_nothing_restarts(install: Install) -> None:
    scenario = from_the_previous_chart()
    lived = pods(scenario)
    install(scenario, 2)
    scenario.converge()
    assert pods(scenario) == lived
    assert "rendering unknown becomes 2" in scenario.condition("UpToDate")["message"]
    scenario.edit(workers=LOUD)
    assert {each.process for wave in restarting(scenario) for each in wave.restarts} == ALL
    scenario.converge()
    assert renderings(scenario) == {2}


def test_what_restarts_nothing_is_taken_over_without_a_word() -> None:
    """The bytes are the same: only their number is written."""
    scenario = from_the_previous_chart()
    templates = scenario.templates()
    scenario.converge()
    assert scenario.templates() == templates
    assert scenario.condition("UpToDate")["status"] == "True"
    deployments = scenario.cluster.world.of_kind("Deployment").values()
    assert all(RENDERING_ANNOTATION in each["metadata"]["annotations"] for each in deployments)


def test_an_edit_of_one_process_moves_all_together_and_says_so(install: Install) -> None:
    scenario = upgraded(install)
    scenario.edit(workers=LOUD)
    (wave,) = restarting(scenario)
    assert {each.process for each in wave.restarts} == ALL
    assert wave.epochs == {"topology": 2}
    for each in wave.restarts:
        assert "the operator's rendering moved from 1 to 2" in each.because
        assert f"image changed: {DEFAULTS.image} becomes {NEXT_IMAGE}" in each.because
    scenario.step()
    assert scenario.condition("UpToDate")["reason"] == "Moving"
    scenario.converge()
    assert (images(scenario), renderings(scenario)) == ({NEXT_IMAGE}, {2})
    assert scenario.condition("UpToDate")["status"] == "True"
    assert release_of(scenario) is None


QUIET: dict[str, dict[str, Any]] = {
    "more sync workers": {"workers": [{**SYNC, "replicas": 4}, *USUAL[1:]]},
    "a group that only serves goes": {"workers": [SYNC, SENDER, PERSISTER, MEDIA]},
    "groups in another order": {"workers": USUAL[::-1]},
    "a class moves from one group to another": {
        "workers": [{**SYNC, "serves": ["sync", "client"]}, SENDER, PERSISTER,
                    {**CLIENT, "serves": ["login"]}, MEDIA]},
    "an ingress option": {"ingress": {"className": "outer"}},
    "a larger volume": {"mediaStore": {"volume": {"size": "20Gi"}}},
    "when restarts may happen": {"restartPolicy": {"approval": "Manual"}},
}  # fmt: skip


@pytest.mark.parametrize("title", QUIET)
def test_what_restarts_nobody_is_done_while_an_upgrade_waits(install: Install, title: str) -> None:
    scenario = upgraded(install)
    before = scenario.templates()
    scenario.edit(**QUIET[title])
    after = scenario.converge().templates()
    assert after == {name: before[name] for name in after}
    assert scenario.condition("Ready")["status"] == "True"
    assert scenario.condition("UpToDate")["reason"] == "UpgradeWaits"
    numbers = {
        key.name: live["spec"]["replicas"]
        for key, live in scenario.cluster.live.items()
        if key.kind == "Deployment"
    }
    assert numbers["rosebud-sync"] == (4 if "more" in title else 2)


def rotated(scenario: Scenario) -> None:
    key = ObjectKey("Secret", "rosebud-redis")
    scenario.cluster.references[key] = {"password": b"another"}


def overtaken(scenario: Scenario) -> None:
    """As after a restore: nobody who lives may enter again."""
    scenario.cluster.controllers.recorded["topology"] = Mark(7, "another")


LOUDLY: dict[str, Callable[[Scenario], None]] = {
    "the log level of one": lambda scenario: scenario.edit(workers=LOUD),
    "another group": lambda scenario: scenario.edit(
        workers=[*USUAL, {"name": "more", "serves": ["login"]}]
    ),
    "a second event persister": lambda scenario: scenario.edit(
        workers=[SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA]
    ),
    "Redis's resources": lambda scenario: scenario.edit(
        redis={"managed": {"resources": {"requests": {"cpu": 1}}}}
    ),
    "a Secret": rotated,
    "a Deployment is gone, and nobody knows its template": lambda scenario: scenario.cluster.forget(
        ObjectKey("Deployment", "rosebud-client")
    ),
    "the database has seen a later epoch": overtaken,
}


@pytest.mark.parametrize("title", LOUDLY)
def test_what_needs_a_rendering_moves_all(install: Install, title: str) -> None:
    scenario = upgraded(install)
    LOUDLY[title](scenario)
    scenario.converge()
    assert (images(scenario), renderings(scenario)) == ({NEXT_IMAGE}, {2})
    assert scenario.condition("UpToDate")["status"] == "True"
    assert scenario.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("policy", ["Automatic", "Manual"])
@pytest.mark.parametrize("rendering", [2, 1], ids=["rendering and image", "image alone"])
def test_an_approval_moves_all(install: Install, rendering: int, policy: str) -> None:
    scenario = upgraded(install, rendering)
    scenario.edit(restartPolicy={"approval": policy})
    scenario.converge()
    approve(scenario)
    scenario.converge()
    assert (images(scenario), renderings(scenario)) == ({NEXT_IMAGE}, {rendering})
    assert scenario.condition("UpToDate")["status"] == "True"


def test_another_default_image_alone_does_not_come_with_an_edit(install: Install) -> None:
    """An edit that concerns one process restarts that one, and no database is migrated for it."""
    scenario = upgraded(install, 1)
    scenario.edit(workers=LOUD)
    (wave,) = restarting(scenario)
    assert [each.process for each in wave.restarts] == ["client"]
    scenario.converge()
    assert images(scenario) == {DEFAULTS.image}
    assert scenario.condition("UpToDate")["reason"] == "UpgradeWaits"


def test_who_names_an_image_waits_for_nothing_but_the_rendering(install: Install) -> None:
    scenario = running(body=usual())
    scenario.edit(image="theirs.invalid/synapse:1")
    scenario.converge()
    install(scenario, 1)
    scenario.edit(logLevel="ERROR")
    scenario.step()
    assert scenario.condition("UpToDate")["status"] == "True"
    scenario.converge()
    install(scenario, 2)
    scenario.converge()
    assert "spec.image stays theirs.invalid/synapse:1" in scenario.condition("UpToDate")["message"]
    scenario.edit(workers=LOUD)
    scenario.converge()
    assert (images(scenario), renderings(scenario)) == ({"theirs.invalid/synapse:1"}, {2})


def test_without_consent_an_edit_after_an_upgrade_waits_with_all(install: Install) -> None:
    """The stores among them, and what is taken back has never been."""
    scenario = upgraded(install, store="redis")
    scenario.edit(restartPolicy={"approval": "Manual"})
    before = scenario.converge().templates()
    scenario.edit(workers=LOUD)
    scenario.converge()
    assert scenario.templates() == before
    assert scenario.body["status"]["plan"]["phase"] == "Held"
    scenario.edit(workers=USUAL)
    scenario.converge()
    assert scenario.templates() == before
    assert "plan" not in scenario.body["status"]
    assert scenario.condition("UpToDate")["reason"] == "UpgradeWaits"
    approve(scenario)
    after = scenario.converge().templates()
    assert {name for name in before if before[name] != after[name]} == {
        f"rosebud-{name}" for name in {*ALL, "redis"}
    }


def test_an_edit_while_no_operator_was_there_moves_all(install: Install) -> None:
    scenario = running(body=usual())
    scenario.edit(workers=LOUD)
    install(scenario, 2)
    scenario.converge()
    assert (images(scenario), renderings(scenario)) == ({NEXT_IMAGE}, {2})


def test_an_edit_that_the_operator_before_did_not_finish_moves_all(install: Install) -> None:
    """It had told of it, and written nothing yet."""
    scenario = running(body=usual())
    scenario.edit(workers=LOUD)
    report = copy.deepcopy(scenario).step()[1]
    scenario.body = {**scenario.body, "status": report.status}
    install(scenario, 2)
    scenario.converge()
    assert renderings(scenario) == {2}


def test_epochs_that_do_not_go_together_are_not_held(install: Install) -> None:
    """Somebody died between two templates, and nobody knows of what else it had in mind."""
    scenario = running(body=usual())
    scenario.edit(workers=[SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA])
    plan = scenario.decide().plan
    half = [each for each in plan.applies if each.key.name != "rosebud-main"]
    scenario.cluster.execute(Plan(applies=tuple(half)))
    del scenario.body["status"]
    install(scenario, 2)
    scenario.converge()
    assert renderings(scenario) == {2}
    assert scenario.condition("Ready")["status"] == "True"


def test_a_restart_that_the_operator_before_has_begun_is_finished(install: Install) -> None:
    """All templates are written, new pods wait: these are handed over, and nothing moves."""
    scenario = running(body=usual())
    scenario.edit(workers=[SYNC, SENDER, {**PERSISTER, "replicas": 2}, CLIENT, MEDIA],
                  restartPolicy={"maxWarming": 99})  # fmt: skip
    scenario.step()
    templates = scenario.templates()
    install(scenario, 2)
    scenario.converge()
    assert scenario.templates() == templates
    assert scenario.body["status"]["epochs"]["topology"] == 2
    assert scenario.condition("UpToDate")["reason"] == "UpgradeWaits"
    assert scenario.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("then", [None, LOUD], ids=["", "and the edit after it is seen"])
def test_a_status_that_is_lost_restarts_nothing(install: Install, then: Any) -> None:
    scenario = upgraded(install)
    before = scenario.templates()
    del scenario.body["status"]
    assert scenario.converge().templates() == before
    if then:
        scenario.edit(workers=then)
        scenario.converge()
        assert renderings(scenario) == {2}


def test_an_operator_that_dies_while_all_move_goes_on(install: Install) -> None:
    """After each of its writes: the decision stands in what it has told and written."""
    first = upgraded(install)
    first.edit(workers=LOUD)
    plan = first.decide().plan
    for count in range(0, len(plan.applies) + 1, 3):
        scenario = copy.deepcopy(first)
        report = copy.deepcopy(first).step()[1]
        assert report.status
        scenario.body = {**scenario.body, "status": report.status}
        scenario.cluster.execute(Plan(applies=plan.applies[:count]))
        scenario.converge()
        assert (images(scenario), renderings(scenario)) == ({NEXT_IMAGE}, {2}), count


@pytest.mark.parametrize("others", [3, 1], ids=["a later one", "the one before"])
def test_halfway_to_one_release_another_takes_over(install: Install, others: int) -> None:
    """Two releases at once are never left."""
    scenario = upgraded(install)
    scenario.edit(workers=LOUD)
    plan = scenario.decide().plan
    synapse = [each for each in plan.applies if each.key.kind in {"ConfigMap", "Deployment"}]
    half = [each for each in synapse if each.key.name != "rosebud-main"]
    scenario.cluster.execute(Plan(applies=tuple(half)))
    assert renderings(scenario) == {1, 2}
    install(scenario, others, "runtime.invalid/synapse:9")
    scenario.converge()
    assert renderings(scenario) == {others}
    assert images(scenario) == {"runtime.invalid/synapse:9"}


def test_halfway_without_a_status_it_goes_on(install: Install) -> None:
    """With the image that all have: only the templates tell."""
    scenario = upgraded(install, image=DEFAULTS.image)
    scenario.edit(workers=LOUD)
    plan = scenario.decide().plan
    synapse = [each for each in plan.applies if each.key.kind in {"ConfigMap", "Deployment"}]
    scenario.cluster.execute(Plan(applies=tuple(synapse)))
    assert renderings(scenario) == {1, 2}
    scenario.edit(workers=USUAL)
    del scenario.body["status"]
    scenario.converge()
    assert renderings(scenario) == {2}


def test_halfway_to_an_approved_image_an_edit_comes_with_it(install: Install) -> None:
    scenario = upgraded(install, 1)
    approve(scenario)
    half = [each for each in scenario.decide().plan.applies if each.key.name != "rosebud-main"]
    scenario.cluster.execute(Plan(applies=tuple(half)))
    assert images(scenario) == {DEFAULTS.image, NEXT_IMAGE}
    scenario.edit(workers=LOUD)
    scenario.converge()
    assert images(scenario) == {NEXT_IMAGE}


def test_a_deployment_that_has_lost_its_annotation_moves_nobody(install: Install) -> None:
    scenario = upgraded(install)
    lived = pods(scenario)
    live = scenario.cluster.live[ObjectKey("Deployment", "rosebud-sync")]
    del live["metadata"]["annotations"][RENDERING_ANNOTATION]
    scenario.converge()
    assert pods(scenario) == lived


def test_a_paused_homeserver_that_goes_on_restarts_nothing_unasked(install: Install) -> None:
    scenario = running(body=usual())
    scenario.edit(paused=True)
    scenario.converge()
    before = scenario.templates()
    install(scenario, 2)
    scenario.converge()
    scenario.edit(paused=None)
    assert scenario.converge().templates() == before


def test_what_others_have_added_to_a_template_stays_theirs(install: Install) -> None:
    scenario = running(body=usual())
    key = ObjectKey("Deployment", "rosebud-sync")
    template = scenario.cluster.live[key]["spec"]["template"]
    template["metadata"]["annotations"]["theirs"] = "yes"
    install(scenario, 2)
    scenario.edit(workers=[{**SYNC, "replicas": 3}, *USUAL[1:]])
    scenario.body["status"]["observedGeneration"] = scenario.body["metadata"]["generation"]
    (apply,) = scenario.decide().plan.applies
    assert apply.key == key
    assert "theirs" not in apply.manifest["spec"]["template"]["metadata"]["annotations"]
    assert "dnsPolicy" not in apply.manifest["spec"]["template"]["spec"]
    scenario.converge()
    assert scenario.templates()["rosebud-sync"] == template


def test_services_lead_to_the_pods_that_live_whatever_labels_new_ones_get(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = running("shared-class")
    before = selectors(scenario)
    install(scenario, 2)
    for module in (build.synapse_pods, build.services):
        monkeypatch.setattr(module, "SHARES_LABEL_PREFIX", "shared.example/")
    scenario.converge()
    assert selectors(scenario) == before
    scenario.edit(logLevel="DEBUG")
    scenario.converge()
    assert any("shared.example/" in key for found in selectors(scenario).values() for key in found)


def selectors(scenario: Scenario) -> dict[str, Any]:
    services = scenario.cluster.world.of_kind("Service")
    return {name: live["spec"]["selector"] for name, live in services.items()}


@settings(max_examples=5, suppress_health_check=list(HealthCheck), derandomize=True)
@given(strategies.specs())
def test_an_upgrade_writes_no_template_of_any_spec(spec: Spec) -> None:
    scenario = told_of(spec).converge()
    with pytest.MonkeyPatch.context() as patched:
        installer(patched)(scenario, 2)
        assert scenario.decide().plan.empty
        before, lived = scenario.templates(), pods(scenario)
        assert scenario.converge().templates() == before
        assert pods(scenario) == lived
        assert scenario.condition("UpToDate")["reason"] == "UpgradeWaits"
