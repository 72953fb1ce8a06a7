"""`kubectl homeserver status`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.core.scenario import Scenario, running
from tests.core.worlds import usual
from tests.shell.fake_api import FakeApi

from homeserver_operator.api import names
from homeserver_operator.cli.__main__ import main

NAME = usual()["metadata"]["name"]


async def put(api: FakeApi, scenario: Scenario) -> None:
    """The resource and the pods of a scenario, in the API server."""
    await api.put(scenario.body)
    for pod in scenario.cluster.world.of_kind("Pod").values():
        await api.put({**pod, "metadata": {**pod["metadata"], "namespace": "meadow"}})
    # An API server counts generations by itself.
    stored = api.find("HomeServer", NAME)
    assert stored is not None
    stored["metadata"]["generation"] = scenario.body["metadata"]["generation"]


async def status(kubeconfig: Path, *more: str) -> int:
    return await asyncio.to_thread(main, ["status", NAME, "--kubeconfig", str(kubeconfig), *more])


async def test_a_homeserver_that_is_ready(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api, running(body=usual()))
    assert await status(kubeconfig, "-o", "json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["ready"], found["current"]) == ("True", True)
    assert {"name": "sync", "desired": 2, "ready": 2} in found["groups"]
    assert {pod["phase"] for pod in found["pods"]} == {"Ready"}
    assert {pod["group"] for pod in found["pods"]} == {each["name"] for each in found["groups"]}


async def test_what_is_wrong_is_said_in_full(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = running(body=usual())
    broken = next(
        pod for key, pod in scenario.cluster.live.items()
        if key.kind == "Pod" and pod["metadata"]["labels"][names.PROCESS_LABEL] == "sync"
    )  # fmt: skip
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    broken["status"] = {
        "phase": "Pending",
        "containerStatuses": [{"image": "x", "restartCount": 3, "state": {"waiting": waiting}}],
    }
    scenario.edit(serverName="", workers=[{"name": "idle"}])
    scenario.step()
    await put(api, scenario)
    assert await status(kubeconfig) == 1
    page = capsys.readouterr().out
    assert "spec.workers[idle] claims nothing" in page
    assert f"pod {broken['metadata']['name']} cannot get image x: no such image" in page
    assert max(map(len, page.splitlines())) <= 100


async def test_a_spec_that_nobody_has_looked_at(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = running(body=usual())
    scenario.edit(logLevel="DEBUG")
    await put(api, scenario)
    assert await status(kubeconfig) == 0
    assert "has not looked at the latest change" in capsys.readouterr().out


async def test_a_homeserver_without_any_status(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.put(usual())
    assert await status(kubeconfig) == 1
    assert "of a version that is not known yet" in capsys.readouterr().out


async def test_pods_that_may_not_be_read(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api, running(body=usual()))
    api.fail("GET", "/pods", 403, body={"reason": "Forbidden", "message": "not for you"})
    assert await status(kubeconfig) == 0
    assert "Pods: not shown: not for you (403 Forbidden)" in capsys.readouterr().out


RESTARTING = {
    "plan": {
        "id": "0123456789",
        "phase": "Held",
        "because": "it waits for `kubectl homeserver approve`",
        "waves": [{"restarts": [{"process": "main", "because": "an option of main changes"}]}],
        "more": 7,
    },
    "epochs": {"topology": 3, "federation": 1},
    "processes": [
        {
            "pod": "rosebud-persister-0-x",
            "process": "persister-0",
            "phase": "serving",
            "revision": "abc",
            "epochs": {"topology": 3},
            "shardMaps": {"topology": "def"},
        },
        {
            "pod": "rosebud-main-y",
            "process": "main",
            "phase": "draining",
            "epochs": {"topology": 2, "federation": 1},
            "shardMaps": {"topology": "abc", "federation": "ghi"},
        },
        {"pod": "rosebud-sync-z"},
    ],
    "lastSwitch": {
        "startedAt": "2026-11-24T02:00:00Z",
        "finishedAt": "2026-11-24T02:00:03Z",
        "seconds": 2.75,
        "processes": 8,
        "because": "the image changes",
    },
}


async def put_restarting(api: FakeApi) -> None:
    scenario = running(body=usual())
    scenario.body = {**scenario.body, "status": scenario.body["status"] | RESTARTING}
    await put(api, scenario)


@pytest.mark.long
async def test_restarts_that_are_due_and_those_that_were(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put_restarting(api)
    assert await status(kubeconfig) == 0
    page = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "Plan 0123456789 is Held: it waits for `kubectl homeserver approve`",
        "1 main an option of main changes",
        "and 7 more",
        "Last switch: 8 processes in 2.8 s, at 2026-11-24T02:00:03Z: the image changes",
        "topology 3 abc def",
        "federation 1 ghi",
        "rosebud-persister-0-x persister-0 serving abc",
        "rosebud-main-y main draining topology=2",
        "rosebud-sync-z",
    ):
        assert line in page, line


async def test_the_same_for_programs_is_as_the_status_has_it(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put_restarting(api)
    assert await status(kubeconfig, "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: found[key] for key in RESTARTING} == RESTARTING
