"""What somebody deletes or edits by hand is put back; what others own stays theirs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.product.homeserver import RunningHomeServer
from e2e.product.kube import Object, eventually

pytestmark = pytest.mark.cluster

REPAIRED_WITHIN = 30.0

CHILDREN = [
    ("deployment", "example-sync"),
    ("deployment", "example-main"),
    ("deployment", "example-redis"),
    ("service", "example-main"),
    ("service", "example-persister-0-e1"),
    ("ingress", "example-sync"),
    ("poddisruptionbudget", "example-sync"),
    ("networkpolicy", "example-replication"),
    ("serviceaccount", "example"),
]


@pytest.mark.parametrize(
    ("kind", "name"), [pytest.param(k, n, id=f"a deleted {k} {n} is back") for k, n in CHILDREN]
)
def test_deleted(homeserver: RunningHomeServer, kind: str, name: str) -> None:
    uid = homeserver.kube.get(kind, name)["metadata"]["uid"]

    homeserver.kube.delete(kind, name, wait=False)

    eventually(
        lambda: homeserver.kube.find(kind, name),
        lambda seen: seen is not None and seen["metadata"]["uid"] != uid,
        what=f"{kind} {name} back",
        seconds=REPAIRED_WITHIN,
    )


def test_a_deleted_config_map_is_back_under_its_name(homeserver: RunningHomeServer) -> None:
    deployment = homeserver.kube.get("deployment", "example-sync")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    name = next(v["configMap"]["name"] for v in volumes if "configMap" in v)

    homeserver.kube.delete("configmap", name)

    eventually(
        lambda: homeserver.kube.find("configmap", name),
        lambda seen: seen is not None,
        what=f"configmap {name} back",
        seconds=REPAIRED_WITHIN,
    )


def _replicas(found: Object) -> bool:
    return bool(found["spec"]["replicas"] == 2)


def _selector(found: Object) -> bool:
    return "homeserver-operator.io/group" in found["spec"]["selector"]


def _first_path(found: Object) -> bool:
    return bool(found["spec"]["rules"][0]["http"]["paths"][0]["path"] != "/")


@pytest.mark.parametrize(
    ("kind", "name", "change", "as_before"),
    [
        pytest.param(
            "deployment", "example-sync", {"spec": {"replicas": 5}}, _replicas,
            id="replicas that the resource sets",
        ),
        pytest.param(
            "service", "example-sync",
            {"spec": {"selector": {"homeserver-operator.io/group": None, "x": "y"}}}, _selector,
            id="a service's selector",
        ),
        pytest.param(
            "ingress", "example-sync",
            {"spec": {"rules": [{"host": "elsewhere.example.org", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {
                    "service": {"name": "example-main", "port": {"number": 8008}}}}]}}]}},
            _first_path, id="an ingress's paths",
        ),
    ],
)  # fmt: skip
def test_edited(
    homeserver: RunningHomeServer,
    kind: str,
    name: str,
    change: Object,
    as_before: Callable[[Object], bool],
) -> None:
    homeserver.kube.patch(kind, name, change)

    eventually(
        lambda: homeserver.kube.get(kind, name),
        as_before,
        what=f"{kind} {name} as before",
        seconds=REPAIRED_WITHIN,
    )


def test_replicas_that_the_resource_leaves_out_belong_to_whoever_scales(
    homeserver: RunningHomeServer,
) -> None:
    def leave_to_others(spec: Object) -> None:
        spec["workers"].append({"name": "scaled", "serves": ["userDirectory"]})

    homeserver.apply(homeserver.edited(leave_to_others))
    homeserver.wait_ready()

    homeserver.kube.run("scale", "deployment/example-scaled", "--replicas=2")
    homeserver.wait_ready()
    # A change of the operator's own on the same Deployment.
    homeserver.kube.patch(
        "deployment", "example-scaled", {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}
    )
    repaired = eventually(
        lambda: homeserver.kube.get("deployment", "example-scaled"),
        lambda seen: seen["metadata"]["labels"]["app.kubernetes.io/name"] == "homeserver",
        what="the label as before",
        seconds=REPAIRED_WITHIN,
    )

    assert repaired["spec"]["replicas"] == 2


@pytest.mark.parametrize("purpose", ["signing-key", "postgres"])
def test_a_deleted_generated_secret_is_not_made_anew(
    homeserver: RunningHomeServer, purpose: str
) -> None:
    name = f"example-{purpose}"
    secret = homeserver.kube.get("secret", name)
    before = homeserver.pods()

    homeserver.kube.delete("secret", name)
    stalled = homeserver.wait("Stalled", "True", "GeneratedSecretLost")

    assert name in stalled["message"]
    assert "from a backup, or from the copy" in stalled["message"]
    assert homeserver.kube.find("secret", name) is None
    assert homeserver.pods() == before
    assert homeserver.condition("Available")["status"] == "True"

    # The remedy that the condition names.
    restored = {key: secret[key] for key in ("apiVersion", "kind", "type", "data")}
    homeserver.kube.apply({**restored, "metadata": {"name": name}})
    homeserver.wait_ready()
    assert homeserver.pods() == before
