"""Bad input gets a clear answer, and nothing that runs is touched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest

from e2e.product.homeserver import RunningHomeServer
from e2e.product.installation import Installation
from e2e.product.kube import KubectlError, Object

pytestmark = pytest.mark.cluster


def _unknown(spec: Object) -> None:
    spec["wokers"] = []


def _invalid_name(spec: Object) -> None:
    spec["serverName"] = "https://example.org"


def _changed_name(spec: Object) -> None:
    spec["serverName"] = "elsewhere.example.org"


def _namesakes(spec: Object) -> None:
    spec["workers"].append(copy.deepcopy(spec["workers"][0]))


def _claims_nothing(spec: Object) -> None:
    spec["workers"].append({"name": "idle"})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(_unknown, ["wokers"], id="an unknown field"),
        pytest.param(_invalid_name, ["spec.serverName"], id="an invalid server name"),
        pytest.param(_changed_name, ["spec.serverName"], id="a changed server name"),
        pytest.param(_namesakes, ["spec.workers", "sync"], id="two groups of one name"),
        pytest.param(_claims_nothing, ["serves", "writes", "runs"], id="a group without a claim"),
    ],
)
def test_refused_by_the_api_server(
    homeserver: RunningHomeServer, edit: Callable[[Object], None], words: list[str]
) -> None:
    before = homeserver.pods()

    with pytest.raises(KubectlError) as refusal:
        homeserver.kube.apply(homeserver.edited(edit))

    assert all(word in str(refusal.value) for word in words)
    assert homeserver.pods() == before


def _unpullable(spec: Object) -> None:
    spec["image"] = "localhost/homeserver-operator/runtime:no-such-tag"


def _owned_key(spec: Object) -> None:
    spec["config"]["instance_map"] = {}


def _refused_by_synapse(spec: Object) -> None:
    spec["config"]["caches"] = {"global_factor": "twice"}


def _secret_missing(spec: Object) -> None:
    spec["configFrom"] = [{"secretName": "no-such-secret"}]


def _key_missing(spec: Object) -> None:
    spec["configFrom"] = [{"secretName": "example-form", "key": "no-such-key"}]


@pytest.mark.parametrize(
    ("edit", "reason", "words"),
    [
        pytest.param(_unpullable, "ImageUnavailable", ["no-such-tag"], id="an unpullable image"),
        pytest.param(
            _owned_key, "InvalidSpec", ["spec.config.instance_map", "workers[].writes"],
            id="an overlay that sets a key of the operator's",
        ),
        pytest.param(
            _refused_by_synapse, "ConfigRejected", ["caches.global_factor", "Nothing was stopped"],
            id="an overlay that Synapse refuses",
        ),
        pytest.param(
            _secret_missing, "SecretMissing", ["spec.configFrom[0]", "no-such-secret"],
            id="a missing secret",
        ),
        pytest.param(
            _key_missing, "SecretMissing", ["spec.configFrom[0]", "no-such-key", "secret"],
            id="a secret that lacks a key",
        ),
    ],
)  # fmt: skip
def test_refused_by_the_operator(
    homeserver: RunningHomeServer, edit: Callable[[Object], None], reason: str, words: list[str]
) -> None:
    before = homeserver.pods()

    homeserver.apply(homeserver.edited(edit))
    stalled = homeserver.wait("Stalled", "True", reason)

    assert all(word in stalled["message"] for word in words)
    # New pods may be tried beside them; those that served go on, and are the same.
    assert all(pods <= homeserver.pods()[process] for process, pods in before.items())
    assert homeserver.condition("Available")["status"] == "True"
    assert homeserver.condition("Ready")["status"] == "False"


@pytest.fixture
def namesake(installation: Installation) -> Iterator[RunningHomeServer]:
    """`example-media` with a group `x`: Deployment example-media-x, like `example`'s `media-x`."""
    resource = {
        "apiVersion": "homeserver-operator.io/v1alpha1",
        "kind": "HomeServer",
        "metadata": {"name": "example-media"},
        "spec": {
            "serverName": "other.example.org",
            "ingress": {"enabled": False, "host": "other.example.org"},
            "workers": [{"name": "x", "serves": ["client"]}],
        },
    }
    server = RunningHomeServer(installation, resource)
    yield server
    installation.kube.delete("homeserver", server.name)
    installation.kube.run("delete", "secret,pvc", "-l", _of(server))


def _of(server: RunningHomeServer) -> str:
    return f"homeserver-operator.io/homeserver={server.name}"


def _with_media_x(spec: Object) -> None:
    spec["workers"].append({"name": "media-x", "replicas": 1, "serves": ["userDirectory"]})


def test_names_of_another_homeservers_objects(
    homeserver: RunningHomeServer, namesake: RunningHomeServer
) -> None:
    homeserver.apply(homeserver.edited(_with_media_x))
    homeserver.wait_ready()
    before = homeserver.pods()

    namesake.apply(namesake.resource)
    stalled = namesake.wait("Stalled", "True", "NameConflict")

    assert "Deployment example-media-x" in stalled["message"]
    assert namesake.condition("Accepted")["status"] == "False"
    assert homeserver.kube.list("deployments", _of(namesake)) == []
    assert homeserver.pods() == before
