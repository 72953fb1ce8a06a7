"""What holds for any valid HomeServer, not only for the cases."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core import case, strategies
from tests.core.cluster import owners_of_replicas
from tests.core.scenario import Scenario
from tests.core.strategies import USERS_SECRETS, Spec, resource

from homeserver_operator.api.names import FIELD_MANAGER, REVISION_LABEL
from homeserver_operator.api.roles import SINGLE_RUNNER
from homeserver_operator.api.spec import parse
from homeserver_operator.api.world import Object
from homeserver_operator.build import Manifests
from homeserver_operator.fences import FEDERATION, PUSH, TOPOLOGY, Mark
from homeserver_operator.topology import make_topology
from homeserver_operator.validate.sources import generated_names

pytestmark = pytest.mark.long

thorough = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
FENCES = (TOPOLOGY, FEDERATION, PUSH, *SINGLE_RUNNER)
stories = settings(thorough, max_examples=8)


def built(spec: Spec, name: str = "oak") -> Manifests:
    return case.build_all(case.Case(name, resource(spec, name), USERS_SECRETS))


def scenario(spec: Spec) -> Scenario:
    """A story of a spec's HomeServer, where the Secrets that it names are there."""
    told = Scenario(body=resource(spec))
    told.cluster.references |= USERS_SECRETS
    return told


@thorough
@given(strategies.specs(), st.randoms(use_true_random=False))
def test_the_order_of_a_spec_means_nothing(spec: Spec, chance: random.Random) -> None:
    """Lists whose order Synapse would take for meaning are sorted, and building is repeatable."""
    shuffled = dict(spec)
    if "workers" in spec:
        groups = [
            {f: chance.sample(v, len(v)) if isinstance(v, list) else v for f, v in group.items()}
            for group in chance.sample(spec["workers"], len(spec["workers"]))
        ]
        shuffled["workers"] = groups
    assert in_any_order(built(shuffled)) == in_any_order(built(spec))


def in_any_order(manifests: Manifests) -> dict[str, Object]:
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in manifests.all()}


@thorough
@given(strategies.names(30), strategies.specs())
def test_legal_names_make_legal_and_distinct_names(name: str, spec: Spec) -> None:
    found = built(spec, name).all()
    assert len({(o["kind"], o["metadata"]["name"]) for o in found}) == len(found)
    for manifest in found:
        limit = 63 if manifest["kind"] in {"Service", "Deployment"} else 253
        assert len(manifest["metadata"]["name"]) <= limit
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())
    topology = make_topology(parse(resource(spec, name)))
    assert len({process.name for process in topology.processes}) == len(topology.processes)


@thorough
@given(strategies.specs())
def test_somebody_does_everything_and_nobody_does_it_twice(spec: Spec) -> None:
    topology = make_topology(parse(resource(spec)))
    instances = [process.instance for process in topology.processes if process.instance]
    assert len(set(instances)) == len(instances)
    called = {process.instance for process in topology.replicating}
    for names in topology.writers.values():
        assert set(names) <= called
        assert len(set(names)) == len(names)
    for names in topology.runners.values():
        assert set(names) <= set(instances)
    alive = [p for p in topology.processes if p.media_repository and p.replicas != 0]
    assert alive, "media is somewhere"
    jobs = topology.runners.get("mediaBackgroundJobs", ())
    assert len(jobs) == (0 if topology.main.media_repository else 1)


@stories
@given(strategies.specs())
def test_a_plan_that_is_carried_out_leaves_nothing_to_do(spec: Spec) -> None:
    told = scenario(spec).converge()
    assert told.decide().plan.empty
    assert told.condition("Ready")["status"] == "True"


@stories
@given(strategies.specs(), st.randoms(use_true_random=False))
def test_whatever_is_deleted_comes_back(spec: Spec, chance: random.Random) -> None:
    told = scenario(spec).converge()
    made = set(told.cluster.references)
    before = comparable(told)
    children = sorted(k for k in told.cluster.live if k.kind != "Pod" and k not in made)
    victims = chance.sample(children, min(5, len(children)))
    for key in victims:
        told.cluster.forget(key)
    assert {apply.key for apply in told.decide().plan.applies} == set(victims)
    assert comparable(told.converge()) == before


@stories
@given(strategies.specs(), strategies.specs())
def test_a_changed_homeserver_is_the_same_as_a_fresh_one(first: Spec, then: Spec) -> None:
    """Data and generated Secrets that only the old spec needed stay beside it.

    On the way there a revision changes if, and only if, something in the template does.
    """
    changed = scenario(first)
    # As on a database that has been lived with: epochs begin later than those of a new one.
    changed.cluster.controllers.recorded = dict.fromkeys(FENCES, Mark(4, "of a former life"))
    changed.converge()
    before = changed.templates()
    changed.replace(then)
    left = comparable(changed.converge())
    fresh = scenario(then)
    # Epochs only rise, and names carry them: the same marks lead to the same epochs.
    fresh.cluster.controllers.recorded = {
        fence: Mark(epoch - 1, "") for fence, epoch in changed.body["status"]["epochs"].items()
    }
    right = comparable(fresh.converge())
    extra = left.keys() - right.keys()
    kept = {f"Secret/{name}" for name in generated_names(parse(changed.body))}
    assert {key for key in extra if not key.startswith("PersistentVolumeClaim/")} <= kept
    for key in right:
        assert left[key] == right[key], key
    assert changed.condition("Ready")["status"] == "True"
    for name, new in changed.templates().items():
        old = before.get(name, new)
        revisions = {template["metadata"]["labels"][REVISION_LABEL] for template in (old, new)}
        assert (len(revisions) == 1) is (old == new)


def comparable(told: Scenario) -> dict[str, Any]:
    """All but pods, by name; what a scaler may own and what tells incarnations apart left out."""
    state = {}
    for key, found in told.cluster.world.children.items():
        if key.kind == "Pod":
            continue
        assert isinstance(found, dict)
        found.pop("status", None)
        owners = owners_of_replicas(found)
        found["metadata"].pop("managedFields", None)
        if key.kind == "Deployment" and FIELD_MANAGER not in owners:
            del found["spec"]["replicas"]
        for field in ("uid", "generation", "resourceVersion", "creationTimestamp"):
            found["metadata"].pop(field, None)
        state[f"{key.kind}/{key.name}"] = found
    return state


@pytest.mark.parametrize("name", case.names())
def test_a_case_is_a_spec_that_the_crd_takes(name: str) -> None:
    """So that the cases show what users can write."""
    import jsonschema  # noqa: PLC0415 - beside its only use
    import yaml  # noqa: PLC0415

    crd = yaml.safe_load((case.EXAMPLES.parent / "crds" / "homeservers.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema.Draft202012Validator(schema).validate(case.load(name).body["spec"])
