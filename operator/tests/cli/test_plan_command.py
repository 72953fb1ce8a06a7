"""`kubectl homeserver plan`: what it reads, what it asks the core, and what it says."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core import case
from tests.core.scenario import Scenario, running
from tests.core.upgrades import NEXT_IMAGE, installer
from tests.core.worlds import ALL, PERSISTER, SENDER, SYNC, USUAL, usual
from tests.shell.fake_api import FakeApi

from homeserver_operator import pipeline
from homeserver_operator.api.restarts import Wave
from homeserver_operator.api.world import Defaults, Object, ObjectKey, World
from homeserver_operator.cli.__main__ import main

NAME = usual()["metadata"]["name"]


Asked = list[tuple[Object, World]]
"""What the core was asked."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    calls: Asked = []
    preview = pipeline.preview

    def heard(body: Object, world: World, defaults: Defaults) -> tuple[Wave, ...]:
        calls.append((body, world))
        return preview(body, world, defaults)

    monkeypatch.setattr(pipeline, "preview", heard)
    return calls


@pytest.fixture
async def live(api: FakeApi) -> Scenario:
    """A homeserver that runs, all of it in the API server."""
    return await put(api, running(body=usual()))


async def put(api: FakeApi, scenario: Scenario) -> Scenario:
    await api.put(scenario.body)
    for found in (*scenario.cluster.live.values(), *scenario.cluster.world.replica_sets):
        await api.put({**found, "metadata": {**found["metadata"], "namespace": "meadow"}})
    for key, data in scenario.cluster.references.items():
        assert data is not None
        encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
        metadata = {"name": key.name, "namespace": "meadow"}
        await api.put({"apiVersion": "v1", "kind": key.kind, "metadata": metadata, "data": encoded})
    return scenario


def with_replicas(group: Object, replicas: int) -> list[Object]:
    """The usual worker groups, one of them of another size."""
    return [{**each, "replicas": replicas} if each is group else each for each in USUAL]


def written(tmp_path: Path, body: Object | None = None, **spec: Any) -> str:
    """A file with the homeserver, some fields of its spec changed."""
    body = body or usual()
    file = tmp_path / "homeserver.yaml"
    metadata = {"name": body["metadata"]["name"]}
    file.write_text(yaml.safe_dump({**body, "metadata": metadata, "spec": body["spec"] | spec}))
    return str(file)


async def plan(kubeconfig: Path, file: str, *more: str) -> int:
    arguments = ["plan", "-f", file, "--kubeconfig", str(kubeconfig), *more]
    return await asyncio.to_thread(main, arguments)


@pytest.mark.long
async def test_the_core_decides_over_the_new_spec_and_what_is_there(
    api: FakeApi, live: Scenario, kubeconfig: Path, asked: Asked, tmp_path: Path
) -> None:
    assert await plan(kubeconfig, written(tmp_path, logLevel="DEBUG")) == 0
    ((body, world),) = asked
    assert body["spec"] == usual()["spec"] | {"logLevel": "DEBUG"}
    stored = api.find("HomeServer", NAME)
    assert stored is not None
    assert body["status"] == stored["status"]
    assert body["metadata"]["uid"] == stored["metadata"]["uid"]
    assert body["metadata"]["generation"] == stored["metadata"]["generation"] + 1
    assert {key for key in world.children if key.kind == "Deployment"} == {
        key for key in live.cluster.live if key.kind == "Deployment"
    }
    assert world.references[ObjectKey("Secret", f"{NAME}-replication")]
    assert api.writes() == []


async def test_a_spec_that_is_there_already_is_no_edit(
    api: FakeApi, live: Scenario, kubeconfig: Path, asked: Asked, tmp_path: Path
) -> None:
    assert await plan(kubeconfig, written(tmp_path)) == 0
    stored = api.find("HomeServer", NAME)
    assert stored is not None
    assert asked[0][0]["metadata"]["generation"] == stored["metadata"]["generation"]


async def test_a_second_event_persister_restarts_everybody_at_once(
    live: Scenario, kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = with_replicas(PERSISTER, 2)
    assert await plan(kubeconfig, written(tmp_path, workers=workers), "-o", "json") == 0
    (wave,) = json.loads(capsys.readouterr().out)["waves"]
    reasons = {each["process"]: each["because"] for each in wave["restarts"]}
    assert set(reasons) == ALL
    for process, reason in reasons.items():
        assert "stream_writers.events changed: persister-1 added" in reason, process
    assert wave["epochs"] == {"topology": 2}


async def test_waves_in_their_order_with_reasons_and_epochs(
    live: Scenario, kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, workers=with_replicas(SENDER, 2), logLevel="DEBUG")
    assert await plan(kubeconfig, file) == 0
    page = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    senders = "federation_sender_instances changed: sender-1 added"
    assert [line.partition("; epoch")[0] for line in page] == [
        "WAVE PROCESS BECAUSE",
        f"1 main {senders}; the log level changed",
        f"1 sender-0 {senders}; the log level changed; topologySpreadConstraints changed",
        "2 client the log level changed",
        "2 sync the log level changed",
        "3 media-0 the log level changed",
        "4 persister-0 the log level changed",
        "Wave 1 begins new epochs (federation 2): its processes change over at once.",
    ]


async def test_nothing_restarts(
    live: Scenario, kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, workers=with_replicas(SYNC, 3))
    assert await plan(kubeconfig, file) == 0
    assert capsys.readouterr().out == "nothing restarts\n"


async def test_what_would_be_refused_is_told_in_the_operators_words(
    live: Scenario,
    kubeconfig: Path,
    asked: Asked,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await plan(kubeconfig, written(tmp_path, workers=[{"name": "idle"}])) == 1
    told = capsys.readouterr().out
    assert "refuse it (InvalidSpec): spec.workers[idle] claims nothing" in told
    assert asked == []


async def test_a_homeserver_that_does_not_exist_yet(
    kubeconfig: Path, asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await plan(kubeconfig, written(tmp_path)) == 2
    assert "no HomeServer rosebud in namespace meadow: nothing restarts" in capsys.readouterr().err


async def test_secrets_that_may_not_be_read(
    api: FakeApi,
    live: Scenario,
    kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api.fail("GET", "/secrets", 403, body={"reason": "Forbidden", "message": "not for you"})
    assert await plan(kubeconfig, written(tmp_path)) == 2
    told = capsys.readouterr().err
    assert "(403 Forbidden)" in told
    assert "the content of its Secrets too" in told


async def test_ways_in_that_kubernetes_roles_do_not_name_need_not_be_listed(
    api: FakeApi,
    live: Scenario,
    kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A cluster forbids them, too, where it lacks them."""
    for kind in ("/ingressroutes", "/httproutes"):
        api.fail("GET", kind, 403, body={"reason": "Forbidden", "message": "not for you"})
    file = written(tmp_path, workers=with_replicas(SYNC, 3))
    assert await plan(kubeconfig, file) == 0
    assert capsys.readouterr().out == "nothing restarts\n"
    assert [fault.times for fault in api.faults] == [0, 0]


async def test_a_file_of_another_namespace(
    kubeconfig: Path, asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "homeserver.yaml"
    file.write_text(yaml.safe_dump(case.load("minimal").body))
    assert await plan(kubeconfig, str(file), "-n", "hill") == 2
    assert "not hill: leave out --namespace" in capsys.readouterr().err


async def test_another_server_name(
    live: Scenario, kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await plan(kubeconfig, written(tmp_path, serverName="other.example")) == 2
    assert "spec.serverName of HomeServer rosebud cannot be changed" in capsys.readouterr().err


@pytest.fixture
async def upgraded(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """One that an operator of another release holds."""
    scenario = running(body=usual())
    installer(monkeypatch)(scenario, 2)
    return await put(api, scenario.converge())


async def test_what_an_upgrade_that_waits_would_restart(
    api: FakeApi, upgraded: Scenario, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", NAME, "-o", "json", "--kubeconfig", str(kubeconfig)]
    assert await asyncio.to_thread(main, arguments) == 0
    (wave,) = json.loads(capsys.readouterr().out)["waves"]
    assert {each["process"] for each in wave["restarts"]} == ALL
    for each in wave["restarts"]:
        assert "rendering moved from 1 to 2; image changed: " in each["because"]
        assert f"becomes {NEXT_IMAGE}" in each["because"]
    assert api.writes() == []


@pytest.mark.parametrize(
    ("spec", "restarts"),
    [({}, set()), ({"ingress": {"className": "outer"}}, set()), ({"logLevel": "DEBUG"}, ALL)],
    ids=["no edit restarts nothing", "nor one of no process", "any other comes with the upgrade"],
)
async def test_while_an_upgrade_waits(
    upgraded: Scenario,
    kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    spec: dict[str, Any],
    restarts: set[str],
) -> None:
    assert await plan(kubeconfig, written(tmp_path, **spec), "-o", "json") == 0
    waves = json.loads(capsys.readouterr().out)["waves"]
    assert {each["process"] for wave in waves for each in wave["restarts"]} == restarts


async def test_a_plugin_of_another_release_says_so(
    live: Scenario,
    kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("homeserver_operator.cli.plan.RENDERING", 5)
    assert await plan(kubeconfig, written(tmp_path)) == 2
    assert "of another release (rendering 1) than this plugin (rendering 5)" in (
        capsys.readouterr().err
    )
