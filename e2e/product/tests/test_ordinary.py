"""The HAProxy with ordinary health checks routes as it should, and HAProxy takes its file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import haproxy
from e2e.cluster.api import Cluster
from e2e.product.homeserver import GROUP_LABEL, RunningHomeServer
from e2e.product.installation import Installation
from e2e.product.kube import Object
from e2e.product.ordinary import NAME, Ordinary
from e2e.product.ordinary_config import configuration, members
from e2e.product.restarting import rename
from e2e.product.router import resource
from e2e.product.routes import samples

_RULE = re.compile(r"  use_backend (?P<backend>\S+) if \{ path_reg (?P<pattern>\S+) \}")
_RESOLVED = re.compile(r"  server-template \S+ (?P<most>\d+) (?P<group>[^.-]+)-(?P<rest>\S+):8008")


def _text() -> str:
    return configuration(resource()["spec"], "-pods.example.org")


def _backend(path: str) -> str:
    rules = (match for line in _text().splitlines() if (match := _RULE.fullmatch(line)))
    return next((rule["backend"] for rule in rules if re.search(rule["pattern"], path)), "main")


@pytest.mark.parametrize(
    ("path", "backend"),
    [
        pytest.param("/_matrix/client/v3/sync", "syncer", id="what one group serves"),
        pytest.param("/_matrix/client/v3/rooms/!a:b/messages", "reader", id="what another serves"),
        pytest.param("/_matrix/client/v3/rooms/!a:b/typing/@c:d", "main", id="a stream of main's"),
        pytest.param("/_matrix/client/v3/syncs", "main", id="what only begins alike"),
        pytest.param("/x/_matrix/client/v3/sync", "main", id="what only ends alike"),
    ],
)
def test_a_request_goes_to_whoever_serves_it(path: str, backend: str) -> None:
    assert _backend(path) == backend


def test_everybody_who_is_asked_has_a_backend() -> None:
    asked = {_backend(sample.path) for sample in samples()}
    assert asked <= {*members(resource()["spec"])}
    assert {match["group"]: int(match["most"]) for match in _RESOLVED.finditer(_text())} == {
        "main": 2,
        "syncer": 2,
        "reader": 4,
    }


def test_a_planned_restart_changes_nothing_of_it() -> None:
    spec = resource()["spec"]
    before = configuration(spec, "")
    rename(spec)
    assert configuration(spec, "") == before


@pytest.fixture
def ordinary() -> Ordinary:
    nowhere = Path("/nonexistent")
    cluster = Cluster(
        kubeconfig=nowhere, kubectl=nowhere, helm=nowhere, ingress="", images={"router": "router"}
    )
    return Ordinary(RunningHomeServer(Installation(cluster, "there"), resource()))


def _of_kind(ordinary: Ordinary, kind: str) -> Iterator[Object]:
    return (each for each in ordinary.objects() if each["kind"] == kind)


def test_every_name_that_it_resolves_is_that_of_a_groups_pods(ordinary: Ordinary) -> None:
    (config,) = _of_kind(ordinary, "ConfigMap")
    resolved = {
        match["group"]: f"{match['group']}-{match['rest']}"
        for match in _RESOLVED.finditer(config["data"]["haproxy.cfg"])
    }
    assert resolved == {
        service["spec"]["selector"][GROUP_LABEL]: (
            f"{service['metadata']['name']}.there.svc.cluster.local"
        )
        for service in _of_kind(ordinary, "Service")
        if service["spec"].get("clusterIP") == "None"
    }


def test_its_ingress_leads_to_its_pods_at_a_host_of_its_own(ordinary: Ordinary) -> None:
    (ingress,), (deployment,) = (_of_kind(ordinary, kind) for kind in ("Ingress", "Deployment"))
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == ordinary.host != ordinary.server.host
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    (service,) = (s for s in _of_kind(ordinary, "Service") if s["metadata"]["name"] == NAME)
    assert (backend["name"], backend["port"]["number"]) == (
        NAME,
        service["spec"]["ports"][0]["port"],
    )
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()


def test_all_of_it_is_found_when_it_is_taken_away(ordinary: Ordinary) -> None:
    assert all(each["metadata"]["labels"] == {"app": NAME} for each in ordinary.objects())


@pytest.mark.haproxy
def test_haproxy_takes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(_text())
    for program in map(haproxy.program, haproxy.names()):
        done = subprocess.run(
            [program, "-c", "-f", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr.lower()
