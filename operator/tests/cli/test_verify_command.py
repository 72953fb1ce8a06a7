"""`kubectl homeserver verify` against a homeserver and an API server in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.fake_synapse import NOBODY, FakeSynapse
from tests.core.worlds import EVERY_CLASS
from tests.shell.fake_api import FakeApi
from tests.shell.objects import pod

from homeserver_operator.api import names
from homeserver_operator.api.spec import parse
from homeserver_operator.cli import sightings
from homeserver_operator.cli.__main__ import main
from homeserver_operator.cli.edge import make_edge
from homeserver_operator.cli.requests import Request

pytestmark = pytest.mark.long

Document = dict[str, Any]


class Stage:
    """A homeserver, its resource and its pods; `verify` it."""

    def __init__(self, api: FakeApi, kubeconfig: Path, synapse: FakeSynapse) -> None:
        self.api, self.kubeconfig, self.synapse = api, kubeconfig, synapse

    async def verify(self, *more: str) -> int:
        arguments = ["verify", "maple", "--url", self.synapse.url, *more]
        running = asyncio.create_task(
            asyncio.to_thread(main, [*arguments, "--kubeconfig", str(self.kubeconfig)])
        )
        while not running.done():
            for group, lines in self.synapse.logs.items():
                self.api.logs[f"maple-{group}"] = "\n".join(lines)
            await asyncio.wait([running], timeout=0.05)
        return running.result()


@pytest.fixture
async def stage(
    api: FakeApi, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr(sightings, "_PAUSE", 0.1)
    await api.put(EVERY_CLASS)
    groups = [group["name"] for group in EVERY_CLASS["spec"]["workers"]]
    for group in ["main", *groups]:
        found = pod(f"maple-{group}", "10.0.0.1", role="main" if group == "main" else "worker")
        found["metadata"]["namespace"] = "meadow"
        found["metadata"]["labels"] |= {
            names.HOMESERVER_LABEL: "maple", names.WORKER_GROUP_LABEL: group,
        }  # fmt: skip
        await api.put(found)
    async with FakeSynapse(make_edge(parse(EVERY_CLASS))) as synapse:
        yield Stage(api, kubeconfig, synapse)


def document(capsys: pytest.CaptureFixture[str]) -> Document:
    found: Document = json.loads(capsys.readouterr().out)
    return found


def wrong(found: Document) -> set[tuple[str, str]]:
    return {(e["verdict"], e["path"]) for e in found["endpoints"] if e["verdict"] != "ok"}


async def test_all_is_well(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert await stage.verify("-o", "json") == 0
    found = document(capsys)
    assert wrong(found) == set()
    count = len(stage.synapse.received) - 1
    assert found["whoAnswered"] == f"checked for {count} of {count} requests, in the pods' logs"
    assert all(each["answered"] == each["expected"] for each in found["endpoints"])


async def test_the_table_ends_in_a_summary(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await stage.verify() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["VERDICT", "CLASS", "GROUP", "ANSWERS", "PATH"]
    count = len(lines) - 4
    assert lines[-2] == f"{count} endpoints: {count} ok."


@pytest.mark.parametrize(
    ("path", "group", "verdict"),
    [
        ("/_matrix/client/v3/sync", "outer", "elsewhere"),
        ("/_matrix/client/v3/sync", "main", "elsewhere"),
        ("/_matrix/client/v3/sync", NOBODY, "nowhere"),
        ("/_matrix/client/v3/pushers", "front", "elsewhere"),
    ],
    ids=["a worker that lacks it", "main, which has it", "no route", "main's own"],
)
async def test_a_request_that_goes_astray(
    stage: Stage, capsys: pytest.CaptureFixture[str], path: str, group: str, verdict: str
) -> None:
    def astray(request: Request) -> str | None:
        return group if request.path == path else None

    stage.synapse.astray = astray
    assert await stage.verify("-o", "json") == 1
    assert wrong(document(capsys)) == {(verdict, path)}


async def test_without_the_right_to_read_logs(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.synapse.astray = lambda request: "outer" if request.path.endswith("/sync") else None
    body = {"reason": "Forbidden", "message": "logs are not for you"}
    stage.api.fail("GET", "/log", 403, body=body)
    assert await stage.verify("-o", "json") == 1
    found = document(capsys)
    assert found["whoAnswered"] == "not checked: logs are not for you (403 Forbidden)"
    assert wrong(found) == {
        ("unrecognized", "/_matrix/client/v3/sync"),
        ("off", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"),
    }


async def test_logs_are_left_alone_if_asked(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await stage.verify("--no-logs", "-o", "json") == 0
    assert not [path for _method, path in stage.api.requests if "/log" in path]
    assert document(capsys)["whoAnswered"] == "not checked: --no-logs"


async def test_nothing_that_is_sent_could_be_acted_upon(stage: Stage) -> None:
    assert await stage.verify("--no-logs") == 0
    for request, body in zip(stage.synapse.received, stage.synapse.bodies, strict=True):
        assert "Authorization" not in request.headers
        assert body == b"" if request.method == "GET" else b"not JSON" in body


async def test_a_token_goes_with_reads_alone(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("syt_secret\n")
    assert await stage.verify("--no-logs", "--token-file", str(file)) == 0
    carrying = [r for r in stage.synapse.received if "Authorization" in r.headers]
    assert {(r.method, r.headers["Authorization"]) for r in carrying} == {
        ("GET", "Bearer syt_secret")
    }
    marking = ("/sync", "/events", "/initialSync")
    assert not [r.path for r in carrying if r.path.endswith(marking)]
    assert len(carrying) > 50


async def test_the_name_goes_with_an_address(stage: Stage) -> None:
    assert await stage.verify("--no-logs", "--host", "matrix.maple.example") == 0
    assert {request.host for request in stage.synapse.received} == {"matrix.maple.example"}


async def test_a_homeserver_that_nobody_reaches(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.synapse.url = "http://127.0.0.1:1"
    assert await stage.verify() == 2
    assert "http://127.0.0.1:1 does not answer" in capsys.readouterr().err


async def test_a_homeserver_without_a_way_in(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.put({**EVERY_CLASS, "spec": {**EVERY_CLASS["spec"], "ingress": {"enabled": False}}})
    arguments = ["verify", "maple", "--kubeconfig", str(kubeconfig)]
    assert await asyncio.to_thread(main, arguments) == 2
    assert "has no Ingress: name its way in with --url" in capsys.readouterr().err
