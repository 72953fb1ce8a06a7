"""What the chart makes of its values, and what it refuses."""

import json
import logging
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from crds.tests.schema import load
from helm.tests.chart import CHART, IMAGES, NAMESPACE, Helm, Object, of_kind, one
from homeserver_operator.api.world import Defaults
from homeserver_operator.config import Settings, parse
from homeserver_operator.handlers import STOP_TIMEOUT
from homeserver_operator.operate import FINISH

pytestmark = pytest.mark.apiserver

CLUSTER_WIDE: Object = {"clusterWide": True}


def container(objects: list[Object]) -> Object:
    (found,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    result: Object = found
    return result


def environment(objects: list[Object]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(objects)["env"] if "value" in each}


@pytest.mark.parametrize("values", [{}, CLUSTER_WIDE], ids=["namespaced", "cluster-wide"])
def test_lint_has_no_complaint(helm: Helm, values: Object, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    flags = (f"--values={file}", f"--set={IMAGES}", f"--kube-version={helm.kube_version}")
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART), *flags)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"replica": 2}, "'replica' not allowed", id="a misspelt value"),
        pytest.param({"images": {"operator": {"tags": "1"}}}, "'tags' not", id="one that is deep"),
        pytest.param({"replicas": "two"}, "/replicas", id="a number in words"),
        pytest.param({"logLevel": "verbose"}, "/logLevel", id="an unknown log level"),
        pytest.param({"watchNamespaces": "a,b"}, "/watchNamespaces", id="a list as text"),
        pytest.param({"watchNamespaces": ["*"]}, "/watchNamespaces/0", id="a wildcard"),
        pytest.param(
            {"watchNamespaces": ["a"], "clusterWide": True},
            "watchNamespaces: cannot be set together with clusterWide",
            id="two modes at once",
        ),
        pytest.param(
            {"images": {"registry": "https://registry.example.org"}},
            "/images/registry",
            id="a registry with a scheme",
        ),
        pytest.param({"images": {"pullPolicy": "Sometimes"}}, "/pullPolicy", id="a pull policy"),
        pytest.param({"resources": {"limits": {"memory": "1 GB"}}}, "/memory", id="a quantity"),
        pytest.param(
            {"serviceAccount": {"create": False}},
            "serviceAccount.name: name the ServiceAccount to use",
            id="no service account at all",
        ),
    ],
)
def test_bad_values_are_refused_by_name(helm: Helm, values: Object, says: str) -> None:
    registry = values.get("images", {}).get("registry")
    done = helm.try_template(values, *([f"images.registry={registry}"] if registry else ()))
    assert done.returncode != 0
    assert says in done.stderr


@pytest.mark.parametrize(
    "missing",
    ["operator", "runtime", "router"],
    ids=lambda image: f"without an image of the {image}",
)
def test_images_must_be_given_and_the_refusal_says_how(helm: Helm, missing: str) -> None:
    given = {"operator", "runtime", "router"} - {missing}
    done = helm.try_template(None, *(f"images.{each}.image=example.org/given:1" for each in given))
    assert done.returncode != 0
    assert f"images.registry: not set, so there is no image for the {missing}" in done.stderr
    assert "--set images.registry=" in done.stderr
    assert "--set images.operator.image=" in done.stderr


def test_images_come_from_the_registry_or_are_named_in_full(helm: Helm) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    objects = helm.template()
    registry = "registry.example.org/matrix"
    assert container(objects)["image"] == f"{registry}/homeserver-operator:{version}"
    env = environment(objects)
    assert env["SYNAPSE_IMAGE"] == f"{registry}/homeserver-runtime:{version}"
    assert env["ROUTER_IMAGE"] == f"{registry}/homeserver-router:{version}"
    assert env["POSTGRES_IMAGE"].startswith("postgres:")
    assert env["REDIS_IMAGE"].startswith("redis:")

    digest = f"example.org/operator@sha256:{64 * 'a'}"
    others = ("images.runtime.image=r:1", "images.router.image=h:1")
    objects = helm.template(None, f"images.operator.image={digest}", *others)
    assert container(objects)["image"] == digest
    assert environment(objects)["SYNAPSE_IMAGE"] == "r:1"
    assert environment(objects)["ROUTER_IMAGE"] == "h:1"


@pytest.mark.parametrize(
    ("values", "watched"),
    [
        pytest.param({}, "operators", id="the release's namespace by default"),
        pytest.param({"watchNamespaces": ["a", "b"]}, "a,b", id="those that are named"),
        pytest.param(CLUSTER_WIDE, "", id="all of them, cluster-wide"),
    ],
)
def test_the_operator_is_told_its_namespaces(helm: Helm, values: Object, watched: str) -> None:
    objects = helm.template(values)
    assert environment(objects)["WATCH_NAMESPACES"] == watched


def test_the_operator_reads_the_settings_that_the_chart_gives(helm: Helm) -> None:
    values = {
        "images": {
            **{name: {"image": f"{name}:1"} for name in ("operator", "runtime", "postgres")},
            **{name: {"image": f"{name}:1"} for name in ("redis", "router")},
            "pullPolicy": "Always",
        },
        "watchNamespaces": ["a", "b"],
        "logLevel": "DEBUG",
        "resyncSeconds": 60,
    }
    objects = helm.template(values)
    fields = {"POD_NAMESPACE": NAMESPACE, "POD_NAME": "operator-0"}
    from_pod = {each["name"] for each in container(objects)["env"] if "valueFrom" in each}
    assert from_pod == fields.keys()
    settings = parse({**environment(objects), **fields})
    assert settings == Settings(
        defaults=Defaults(
            image="runtime:1",
            postgres_image="postgres:1",
            redis_image="redis:1",
            router_image="router:1",
            image_pull_policy="Always",
        ),
        namespace=NAMESPACE,
        identity="operator-0",
        namespaces=("a", "b"),
        lease_name=one(objects, "Deployment")["metadata"]["name"],
        resync=60.0,
        http_port=container(objects)["ports"][0]["containerPort"],
        log_level=logging.DEBUG,
    )
    grace = one(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > FINISH + STOP_TIMEOUT


def test_the_crd_is_the_one_of_the_repository_and_outlives_the_release(helm: Helm) -> None:
    crd = one(helm.template(), "CustomResourceDefinition")
    assert crd["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
    del crd["metadata"]["labels"]
    assert crd == load()
    assert of_kind(helm.template({"crds": {"enabled": False}}), "CustomResourceDefinition") == []


def test_the_package_holds_the_crd_itself_and_not_a_link(helm: Helm, tmp_path: Path) -> None:
    helm.run("package", str(CHART), f"--destination={tmp_path}")
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        names = archive.getnames()
        file = archive.extractfile("homeserver-operator/files/homeservers.yaml")
        assert file is not None
        assert yaml.safe_load(file) == load()
    assert not [name for name in names if "/tests/" in name]


def test_a_disruption_budget_is_made_for_several_operators_only(helm: Helm) -> None:
    assert of_kind(helm.template(), "PodDisruptionBudget") == []
    budget = one(helm.template({"replicas": 2}), "PodDisruptionBudget")
    pod = one(helm.template(), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= pod.items()
    quiet = {"replicas": 2, "podDisruptionBudget": {"enabled": False}}
    assert of_kind(helm.template(quiet), "PodDisruptionBudget") == []


def test_prometheus_finds_the_operators_if_asked_to(helm: Helm) -> None:
    assert of_kind(helm.template(), "ServiceMonitor") == []
    labels = {"release": "prometheus"}
    objects = helm.template({"metrics": {"serviceMonitor": {"enabled": True, "labels": labels}}})
    monitor, service = one(objects, "ServiceMonitor"), one(objects, "Service")
    assert labels.items() <= monitor["metadata"]["labels"].items()
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    (port,) = service["spec"]["ports"]
    assert port["name"] == monitor["spec"]["endpoints"][0]["port"]
    assert ports[port["targetPort"]] == 8081


def test_scheduling_values_reach_the_pod(helm: Helm) -> None:
    toleration = {"key": "control", "operator": "Exists"}
    values = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [toleration],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "high",
        "podAnnotations": {"a": "b"},
        "imagePullSecrets": [{"name": "pull"}],
    }
    template = one(helm.template(values), "Deployment")["spec"]["template"]
    annotations = values.pop("podAnnotations")
    assert template["metadata"]["annotations"] == annotations
    assert values.items() <= template["spec"].items()


def leaves(values: Object, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = set()
    for name, value in values.items():
        found |= (
            leaves(value, (*path, name)) if isinstance(value, dict) and value else {(*path, name)}
        )
    return found


def test_every_value_is_described_and_no_description_lacks_its_value() -> None:
    schema: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def described(node: Object, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        if "properties" not in node:
            return {path}
        assert node["additionalProperties"] is False, path
        return set().union(
            *(described(child, (*path, name)) for name, child in node["properties"].items())
        )

    def check(node: Object, path: tuple[str, ...] = ()) -> None:
        for name, child in node.get("properties", {}).items():
            assert child.get("description", "").endswith("."), (*path, name)
            check(child, (*path, name))

    check(schema)
    free = {path[:-1] for path in leaves(values) if path[0] == "resources"}
    assert (
        described(schema) - {("global",)}
        == {path for path in leaves(values) if path[0] != "resources"} | free
    )
