"""What processes connect to stays open and there until the last of them has ended."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from tests.core.network import Endpoint, connects
from tests.core.scenario import ROUNDS, Scenario
from tests.core.worlds import USUAL, usual

from homeserver_operator.api.names import PROCESS_LABEL, ROLE_LABEL
from homeserver_operator.api.world import Object, ObjectKey, World

pytestmark = pytest.mark.long

OTHER_SERVERS = Endpoint(address="203.0.113.7")
LOGIN = ObjectKey("Secret", "login")
ON_FIRST = {"host": "10.0.0.1", "credentials": {"secretName": "login"}}
ON_SECOND = {**ON_FIRST, "host": "10.0.0.2"}
CACHE_ON_THIRD, CACHE_ON_FOURTH = {"host": "10.0.0.3"}, {"host": "10.0.0.4", "port": 6380}

A = {"name": "a", "replicas": 1, "writes": ["receipts"]}
B = {"name": "b", "replicas": 1, "writes": ["typing"]}
DUTY = {"runs": ["outboundFederation"]}
NOBODY = [*USUAL, A, B]
BY_A, BY_B = [*USUAL, A | DUTY, B], [*USUAL, A, B | DUTY]

EDITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a group begins to send for all": ({"workers": NOBODY}, {"workers": BY_A}),
    "a new group sends for all": (
        {"workers": USUAL}, {"workers": [*USUAL, {"name": "out", "replicas": 1, **DUTY}]}),
    "another group sends for all, and the first goes": (
        {"workers": [*USUAL, {"name": "out", "replicas": 1, **DUTY}]}, {"workers": BY_A}),
    "another group sends for all": ({"workers": BY_A}, {"workers": BY_B}),
    "nobody sends for all any more": ({"workers": BY_A}, {"workers": NOBODY}),
    "another Redis": (
        {"workers": BY_A, "redis": CACHE_ON_THIRD}, {"workers": BY_A, "redis": CACHE_ON_FOURTH}),
    "a Redis of somebody else's": ({"workers": BY_A}, {"workers": BY_A, "redis": CACHE_ON_THIRD}),
    "a Redis of ours": ({"workers": BY_A, "redis": CACHE_ON_THIRD}, {"workers": BY_A}),
    "the same, where nobody sends for all": (
        {"workers": USUAL, "redis": CACHE_ON_THIRD}, {"workers": USUAL}),
    "a Redis of somebody else's, where nobody sends for all": (
        {"workers": USUAL}, {"workers": USUAL, "redis": CACHE_ON_THIRD}),
    "another Redis, and nobody sends for all any more": (
        {"workers": BY_A, "redis": CACHE_ON_THIRD}, {"workers": NOBODY, "redis": CACHE_ON_FOURTH}),
    "another database": (
        {"workers": BY_A, "postgres": ON_FIRST}, {"workers": BY_A, "postgres": ON_SECOND}),
    "a database of somebody else's": ({"workers": BY_A}, {"workers": BY_A, "postgres": ON_FIRST}),
    "network policies, and a Redis of somebody else's": (
        {"workers": BY_A, "networkPolicy": {"enabled": False}},
        {"workers": BY_A, "redis": CACHE_ON_THIRD}),
    "network policies, and a database of somebody else's, where nobody sends for all": (
        {"workers": USUAL, "networkPolicy": {"enabled": False}},
        {"workers": USUAL, "postgres": ON_FIRST}),
    "another image": (
        {"workers": BY_A, "redis": CACHE_ON_THIRD},
        {"workers": BY_A, "redis": CACHE_ON_THIRD, "image": "registry.example/synapse:other"}),
}  # fmt: skip


def homeserver(spec: dict[str, Any], **policy: str) -> Scenario:
    return copy.deepcopy(_homeserver(json.dumps(spec), json.dumps(policy)))


@cache
def _homeserver(spec: str, policy: str) -> Scenario:
    body = usual()
    scenario = Scenario(
        body={**body, "spec": {**body["spec"], "restartPolicy": json.loads(policy)}}
    )
    scenario.cluster.references[LOGIN] = {"username": b"u", "password": b"p"}
    scenario.edit(**json.loads(spec))
    return scenario.converge()


def edited(scenario: Scenario, before: dict[str, Any], after: dict[str, Any]) -> None:
    """What was set before and is not now, is taken away."""
    scenario.edit(**{**dict.fromkeys(before), **after})


def rounds(scenario: Scenario) -> Iterator[None]:
    """Reconciles until nothing is left to do; who is let go ends a reconcile later."""
    ending: dict[ObjectKey, Any] = {}
    for _ in range(ROUNDS):
        before = {key: pod for key, pod in scenario.cluster.live.items() if key.kind == "Pod"}
        decision, told = scenario.step()
        yield
        for key in ending:
            scenario.cluster.live.pop(key, None)
        scenario.cluster.settle()
        gone = before.keys() - scenario.cluster.live.keys() - ending.keys()
        # By other names, because controllers give theirs away again.
        ending = {
            ObjectKey("Pod", f"{key.name}-ends"): ended(scenario, before[key]) for key in gone
        }
        scenario.cluster.live |= ending
        yield
        if decision.plan.empty and told.status is None and not ending:
            return
    raise AssertionError(f"still busy with {decision.plan}")


def ended(scenario: Scenario, pod: Object) -> dict[str, Any]:
    metadata = {"deletionTimestamp": scenario.now, "name": f"{pod['metadata']['name']}-ends"}
    return {**pod, "metadata": {**pod["metadata"], **metadata}}


def cut_off(scenario: Scenario) -> Iterator[str]:
    """What pods cannot reach that they use by their own configuration."""
    world = scenario.cluster.world
    policies = [*world.of_kind("NetworkPolicy").values()]
    for name, pod in world.of_kind("Pod").items():
        if pod["metadata"]["labels"][ROLE_LABEL] not in {"main", "worker"}:
            continue
        settings, own = settings_of(pod, world.of_kind("ConfigMap")), endpoint(pod)
        senders = settings.get("outbound_federation_restricted_to", ())
        wanted = [(settings["redis"]["host"], settings["redis"]["port"])]
        arguments = settings["database"]["args"]
        wanted.append((arguments["host"], arguments["port"]))
        for host, port in wanted:
            found = [*hosts(host, world)]
            if not any(connects(policies, own, each, int(port)) for each in found):
                yield f"{name} does not reach {host}"
        sends = not senders or pod["metadata"]["labels"][PROCESS_LABEL] in senders
        if sends and not connects(policies, own, OTHER_SERVERS, 443):
            yield f"{name} does not reach other servers"


def hosts(host: str, world: World) -> Iterator[Endpoint]:
    service = world.children.get(ObjectKey("Service", host))
    if host.startswith("10."):
        yield Endpoint(address=host)
    elif service is not None:
        for pod in world.of_kind("Pod").values():
            if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items():
                yield endpoint(pod)


def endpoint(pod: Object) -> Endpoint:
    return Endpoint(pod["metadata"]["labels"], "meadow")


def settings_of(pod: Object, maps: Any) -> dict[str, Any]:
    return parsed(maps[files(pod)]["data"]["homeserver.yaml"])


def files(template: Object) -> str:
    """The ConfigMap of a template's, or a pod's, process."""
    volumes = template["spec"]["volumes"]
    (name,) = (v["configMap"]["name"] for v in volumes if v["name"] == "process")
    return str(name)


@cache
def parsed(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return found


@pytest.mark.parametrize("title", EDITS)
def test_nobody_is_cut_off_while_it_is_done(title: str) -> None:
    before, after = EDITS[title]
    scenario = homeserver(before)
    edited(scenario, before, after)
    assert not {each for _ in rounds(scenario) for each in cut_off(scenario)}
    assert_as_new(scenario, after)


@pytest.mark.parametrize("title", EDITS)
def test_nobody_is_cut_off_while_it_waits(title: str) -> None:
    before, after = EDITS[title]
    scenario = homeserver(before, approval="Manual")
    edited(scenario, before, after)
    assert not {each for _ in rounds(scenario) for each in cut_off(scenario)}
    assert scenario.condition("Ready")["reason"] == "ApprovalNeeded"
    scenario.approve()
    assert not {each for _ in rounds(scenario) for each in cut_off(scenario)}
    assert_as_new(scenario, after)


def assert_as_new(scenario: Scenario, spec: dict[str, Any]) -> None:
    """What is open and there is what would be of a new homeserver."""
    assert scenario.condition("Ready")["status"] == "True"
    new = homeserver(spec)
    assert named(scenario) == named(new)
    policies = (each.cluster.world.of_kind("NetworkPolicy") for each in (scenario, new))
    ours, theirs = ({name: live["spec"] for name, live in found.items()} for found in policies)
    assert ours == theirs


def named(scenario: Scenario) -> set[ObjectKey]:
    """What is there of kinds whose names say nothing of content, for whichever epoch."""
    return {
        ObjectKey(key.kind, re.sub(r"-e[0-9]+$", "-e", key.name))
        for key in scenario.cluster.live
        if key.kind in {"NetworkPolicy", "Deployment", "Service"}
    }


@pytest.mark.parametrize("kind", ["NetworkPolicy", "Service"])
@pytest.mark.parametrize(
    ("edit", "store"),
    [("a Redis of somebody else's", "redis"), ("a database of somebody else's", "postgres")],
)
def test_what_leads_to_a_store_that_is_left_comes_back_while_somebody_uses_it(
    edit: str, store: str, kind: str
) -> None:
    before, after = EDITS[edit]
    scenario = homeserver(before, approval="Manual")
    edited(scenario, before, after)
    scenario.converge()
    scenario.cluster.forget(ObjectKey(kind, f"rosebud-{store}"))
    scenario.step()
    assert not [*cut_off(scenario)]
    scenario.approve()
    scenario.converge()
    assert_as_new(scenario, after)


@pytest.mark.parametrize(
    "content",
    ["a: [b", "a: 2026-13-45", "[x]", "redis: {host: 5}\noutbound_federation_restricted_to: 5"],
    ids=["no YAML", "no date", "no mapping", "no values of ours"],
)
def test_whose_configuration_cannot_be_read_everything_stays_for(content: str) -> None:
    """Somebody has made one by the same name."""
    before, after = EDITS["a Redis of somebody else's"]
    scenario = homeserver(before, approval="Manual")
    edited(scenario, before, after)
    scenario.converge()
    live = scenario.cluster.live[
        ObjectKey("ConfigMap", files(scenario.templates()["rosebud-main"]))
    ]
    live["data"] = {**live["data"], "homeserver.yaml": content}
    scenario.converge()
    assert scenario.condition("Ready")["reason"] == "ApprovalNeeded"
    assert ObjectKey("Deployment", "rosebud-redis") in scenario.cluster.live


def test_of_whom_nothing_is_known_everything_stays() -> None:
    """Somebody has deleted the configuration of who runs."""
    before, after = EDITS["a Redis of somebody else's"]
    scenario = homeserver(before, approval="Manual")
    edited(scenario, before, after)
    scenario.converge()
    scenario.cluster.forget(ObjectKey("ConfigMap", files(scenario.templates()["rosebud-main"])))
    scenario.converge()
    pods = scenario.cluster.world.of_kind("Pod")
    policies = [*scenario.cluster.world.of_kind("NetworkPolicy").values()]
    assert connects(policies, endpoint(pods["rosebud-main-pod0"]), OTHER_SERVERS, 443)
    assert ObjectKey("Deployment", "rosebud-redis") in scenario.cluster.live
