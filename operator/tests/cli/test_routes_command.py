"""`kubectl homeserver routes`, from a file and from a cluster."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core.case import EXAMPLES, as_stored
from tests.shell.fake_api import FakeApi

from homeserver_operator.cli.__main__ import main

EXAMPLE = EXAMPLES / "homeserver.yaml"

WORKERS = [
    {"name": "sync", "serves": ["sync"]},
    {"name": "rooms", "replicas": 2, "serves": ["client", "eventSending"]},
    {"name": "typist", "replicas": 1, "writes": ["typing"]},
    {"name": "asleep", "replicas": 0, "serves": ["login"]},
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(homeserver()))
    return str(path)


def homeserver(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "homeserver-operator.io/v1alpha1",
        "kind": "HomeServer",
        "metadata": {"name": "oak"},
        "spec": {"serverName": "oak.example", "workers": WORKERS, **spec},
    }


def entries(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return {entry["class"]: entry for entry in json.loads(capsys.readouterr().out)}


def test_a_class_with_its_groups_its_service_and_what_is_lost(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["routes", "-f", file, "-o", "json"]) == 0
    sync = entries(capsys)["sync"]
    assert sync["groups"] == ["sync"]
    assert sync["processes"] == "scaled"
    assert sync["service"] == "oak-sync"
    assert "/_matrix/client/(r0|v3|unstable)/sync" in sync["rows"]
    assert sync["notSaid"] == ["hashing by user, only by access token"]


@pytest.mark.parametrize(
    ("route_class", "expected"),
    [
        ("client", (["rooms"], "2", "oak-client")),
        ("typing", (["typist"], "1", "oak-typing")),
        ("login", (["main"], "1", "oak-main")),
        ("main", (["main"], "1", "oak-main")),
    ],
    ids=["serves", "writes", "nobody is awake", "the rest"],
)
def test_who_answers(
    file: str,
    capsys: pytest.CaptureFixture[str],
    route_class: str,
    expected: tuple[list[str], str, str],
) -> None:
    main(["routes", "-f", file, "-o", "json"])
    entry = entries(capsys)[route_class]
    assert (entry["groups"], entry["processes"], entry["service"]) == expected


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes", "-f", str(EXAMPLE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["CLASS", "GROUPS", "PROCESSES", "HASHED", "BY", "SERVICE"]
    assert max(map(len, lines)) <= 100


def test_the_wide_table_has_every_row(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["routes", "-f", file, "-o", "json"])
    rows = {row for entry in entries(capsys).values() for row in entry["rows"]}
    main(["routes", "-f", file, "--wide"])
    shown = {line.strip() for line in capsys.readouterr().out.splitlines()}
    assert rows <= shown


def test_yaml_says_the_same_as_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["routes", "-f", file, "-o", "json"])
    as_json = json.loads(capsys.readouterr().out)
    main(["routes", "-f", file, "-o", "yaml"])
    assert yaml.safe_load(capsys.readouterr().out) == as_json


@pytest.mark.parametrize(
    ("request_", "route_class", "why"),
    [
        ("GET /_matrix/client/v3/sync?since=s1", "sync", "sync serves sync"),
        ("PUT /_matrix/client/v3/rooms/!r:x/typing/@u:x", "typing", "typist writes typing"),
        ("GET https://oak.example/_matrix/client/versions", "client", "rooms serves client"),
        (
            "POST /_matrix/client/v3/login", "login",
            "no group with processes has serves: [login], so the main process has it",
        ),
        (
            "post /_matrix/client/v3/logout", "main",
            "no row of the table names it, so the main process has it",
        ),
    ],
    ids=["a query", "a writer", "with the server's name", "nobody is awake", "in no row"],
)  # fmt: skip
def test_where_a_request_goes_and_why(
    file: str, capsys: pytest.CaptureFixture[str], request_: str, route_class: str, why: str
) -> None:
    assert main(["routes", "-f", file, "--try", request_, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["class"], found["why"]) == (route_class, why)


def test_a_request_in_words(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["routes", "-f", file, "--try", "GET /_matrix/client/versions"])
    assert capsys.readouterr().out.splitlines() == [
        "request   GET /_matrix/client/versions",
        "row       /_matrix/client/versions",
        "class     client",
        "groups    rooms",
        "service   oak-client",
        "why       rooms serves client",
    ]


SYT = "syt_YWxpY2U_secretsecretsecret_0a1b2c"


@pytest.mark.parametrize(
    ("request_", "key", "again"),
    [
        ("GET /_matrix/client/v3/sync?since=s1",
         "user, if the access token in the header names one, or else the whole token", True),
        (f"GET /_matrix/client/v3/sync?access_token={SYT}",
         "user, whom the access token in the URL names", False),
        ("GET /_matrix/client/v3/sync?access_token=mat_secretsecret",
         "the access token in the URL, which names no user", False),
        ("GET /_matrix/client/v3/sync?access_token=secret&user_id=%40irc_a%3Ax",
         "user @irc_a:x, for whom an application service speaks", False),
        ("PUT /_matrix/client/v3/rooms/%21r%3Ax/send/m.x/1", "room !r:x", True),
        ("POST /_matrix/client/v3/rooms/%21r%3Ax/send/m.x", "room !r:x", False),
        ("GET /_matrix/client/versions", None, True),
        ("PUT /_matrix/client/v3/rooms/!r:x/typing/@u:x", None, True),
        ("POST /_matrix/client/v3/logout", None, False),
    ],
    ids=["a token elsewhere", "a token of Synapse's", "an opaque token", "an application service",
         "a transaction of a room", "no transaction", "nothing", "one process", "in no row"],
)  # fmt: skip
def test_what_the_router_does_with_a_request(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request_: str,
    key: str | None,
    again: bool,
) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(homeserver(router={})))
    for output in ("json", "table"):
        assert main(["routes", "-f", str(path), "--try", request_, "-o", output]) == 0
        text = capsys.readouterr().out
        assert "secret" not in text
        if output == "json":
            found = json.loads(text)
            assert found.get("hashedBy") == key
            assert ("only" not in found["again"]) is again
            assert "notSaid" not in found


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("", ("user, if the access token in the header names one or the homeserver knows whose "
              "it is, or else the whole token")),
        (f"?access_token={SYT}", "user, whom the access token in the URL names"),
        ("?access_token=mat_secretsecret",
         "user, if the homeserver knows the access token in the URL, or else the whole token"),
        ("?access_token=secret&user_id=%40irc_a%3Ax",
         "user @irc_a:x, for whom an application service speaks"),
    ],
    ids=["a token elsewhere", "a token of Synapse's", "an opaque token", "an application service"],
)  # fmt: skip
def test_a_router_that_asks_whose_tokens_are_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], query: str, key: str
) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(homeserver(router={"whoami": {}})))
    request = f"GET /_matrix/client/v3/sync{query}"
    assert main(["routes", "-f", str(path), "--try", request, "-o", "json"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["hashedBy"] == key
    assert "secret" not in text


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        ("GET /_matrix/client/v3/sync?a?access_token=secret&since=s1", True),
        ("GET /_matrix/client/v3/sync?%61ccess_token=secret", True),
        ("GET /_matrix/client/v3/sync?since=&since=s1", True),
        ("GET /_matrix/client/v3/sync?filter=%7B%22%3F%22%7D;since=s1", False),
        ("GET /_matrix/client/v3/joined_rooms?a?access_token=secret", False),
    ],
    ids=["a token in a name", "an encoded name", "twice", "a usual one", "where none decides"],
)
@pytest.mark.parametrize("spec", [{}, {"router": {}}], ids=["Ingress", "router"])
def test_the_router_refuses_a_sync_that_can_be_read_in_two_ways(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spec: dict[str, Any],
    request_: str,
    refused: bool,
) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(homeserver(**spec)))
    assert main(["routes", "-f", str(path), "--try", request_, "-o", "json"]) == 0
    text = capsys.readouterr().out
    assert "secret" not in text
    found = json.loads(text)
    assert (found["class"] is None) is (refused and bool(spec))
    assert ("400" in found["why"]) is (refused and bool(spec))


def test_a_semicolon_parts_a_query_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(homeserver(router={})))
    request = "GET /_matrix/client/v3/sync?timeout=0;since=s1"
    main(["routes", "-f", str(path), "--try", request, "-o", "json"])
    assert json.loads(capsys.readouterr().out)["class"] == "sync"


def test_the_router_says_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(homeserver(router={})))
    main(["routes", "-f", str(path), "-o", "json"])
    assert {phrase for entry in entries(capsys).values() for phrase in entry["notSaid"]} == set()


def test_what_the_ingress_has_in_a_users_place(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["routes", "-f", file, "--try", "GET /_matrix/client/v3/sync?since=s", "-o", "json"])
    assert json.loads(capsys.readouterr().out)["hashedBy"] == "access token"


@pytest.mark.parametrize("path", ["/_synapse/admin/v1/users", "/_synapse/replication/x", "/health"])
@pytest.mark.parametrize("spec", [{}, {"router": {}}], ids=["Ingress", "router"])
def test_what_is_not_open_goes_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: dict[str, Any], path: str
) -> None:
    file = tmp_path / "homeserver.yaml"
    file.write_text(yaml.safe_dump(homeserver(**spec)))
    assert main(["routes", "-f", str(file), "--try", f"GET {path}"]) == 0
    told = capsys.readouterr().out
    assert "groups    none" in told
    assert "404" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "expected", id="no YAML"),
        pytest.param("kind: Other", "holds 0 HomeServers", id="another kind"),
        pytest.param(
            yaml.safe_dump_all([homeserver(), homeserver()]), "holds 2 HomeServers", id="two"
        ),
        pytest.param(
            "{kind: HomeServer, metadata: {name: oak}, spec: {}}",
            "'serverName' is missing",
            id="a field that the schema requires",
        ),
        pytest.param(
            yaml.safe_dump(homeserver(workers=[{"name": "idle"}])),
            "spec.workers[idle] claims nothing",
            id="a spec that the operator would refuse",
        ),
    ],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert main(["routes", "-f", str(path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["/_matrix/client/versions", "GET versions", "GET //[::1/x", ""])
def test_what_is_no_request(file: str, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["routes", "-f", file, "--try", text or " "]) == 2
    assert "is no request" in capsys.readouterr().err


async def test_a_homeserver_of_the_cluster(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = as_stored(homeserver())
    await api.put(body)
    arguments = ["routes", "oak", "--kubeconfig", str(kubeconfig), "-o", "json"]
    assert await asyncio.to_thread(main, arguments) == 0
    assert entries(capsys)["typing"]["groups"] == ["typist"]
