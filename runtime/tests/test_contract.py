from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeserver_runtime.contract import ConfigurationRefusedError, Launch, read_mapping

GOOD: dict[str, Any] = {"version": 1, "name": "sync-0", "role": "worker", "probe_port": 8080}


def read(directory: Path, content: object, pod_name: str | None = None) -> Launch:
    path = directory / "launcher.yaml"
    path.write_text(yaml.safe_dump(content))
    return Launch.read(path, pod_name=pod_name)


def test_everything_that_the_file_may_say_is_read(tmp_path: Path) -> None:
    database = {"username_file": "/secrets/postgres/username", "password_file": "/secrets/p"}
    more = {
        "config_from": ["/secrets/a", "/b"],
        "well_known_server": "f.example:443",
        "fences": {"topology": 3, "push": 1},
        "fence_contents": {"topology": "a7c4"},
        "late_seconds": 2.5,
    }
    launch = read(tmp_path, GOOD | {"database": database} | more)
    assert launch == Launch(
        name="sync-0",
        role="worker",
        probe_port=8080,
        username_file=Path("/secrets/postgres/username"),
        password_file=Path("/secrets/p"),
        config_from=(Path("/secrets/a"), Path("/b")),
        well_known_server="f.example:443",
        fences={"topology": 3, "push": 1},
        fence_contents={"topology": "a7c4"},
        late_seconds=2.5,
    )


def test_null_leaves_out_the_database_files_and_the_overlays(tmp_path: Path) -> None:
    database = {"username_file": None, "password_file": None}
    launch = read(tmp_path, GOOD | {"database": database, "config_from": None})
    assert (launch.username_file, launch.password_file, launch.config_from) == (None, None, ())


def test_a_process_without_a_name_is_called_like_its_pod(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD | {"name": None}, pod_name="hs-sync-5d9").name == "hs-sync-5d9"


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        pytest.param({"version": 2}, "version", "reads version 1 only", id="a newer format"),
        pytest.param({"version": None}, "version", "is None", id="no version"),
        pytest.param({"role": "sync"}, "role", "main or worker", id="a role that is none"),
        pytest.param({"name": ""}, "name", "a name or null", id="an empty name"),
        pytest.param({"name": None}, "name", "POD_NAME", id="no name and no pod name"),
        pytest.param({"name": "main"}, "name", "rename the worker", id="a worker called main"),
        pytest.param({"name": "master"}, "name", "rename", id="a worker called master"),
        pytest.param({"probe_port": "8080"}, "probe_port", "a port number", id="a port as text"),
        pytest.param({"probe_port": True}, "probe_port", "a port number", id="a port that is true"),
        pytest.param({"probe_port": 65536}, "probe_port", "a port number", id="a port too high"),
        pytest.param({"database": []}, "database", "a mapping", id="a database that is a list"),
        pytest.param(
            {"database": {"password_file": "p"}},
            "database.password_file",
            "absolute path",
            id="a relative path",
        ),
        pytest.param(
            {"database": {"password": "x"}}, "database.password", "not a key", id="an inline secret"
        ),
        pytest.param({"config_from": "/a"}, "config_from", "a list", id="overlays that are text"),
        pytest.param(
            {"config_from": ["/a", 5]}, "config_from[1]", "absolute path", id="an overlay by number"
        ),
        pytest.param(
            {"well_known_server": ""}, "well_known_server", "host:port", id="an empty server"
        ),
        pytest.param(
            {"late_seconds": 11}, "late_seconds", "0 to 10 seconds", id="late for too long"
        ),
        pytest.param(
            {"late_seconds": True}, "late_seconds", "0 to 10 seconds", id="late that is true"
        ),
        pytest.param({"fences": []}, "fences", "map names to epochs", id="fences that are a list"),
        pytest.param({"fences": {"push": 0}}, "fences.push", "a positive epoch", id="no epoch"),
        pytest.param(
            {"fence_contents": ["a7c4"]},
            "fence_contents",
            "map fences to hashes",
            id="contents that are a list",
        ),
        pytest.param(
            {"fence_contents": {"topology": 7}},
            "fence_contents.topology",
            "must be text",
            id="a content that is a number",
        ),
        pytest.param(
            {"fence_contents": {"federation": "a7c4"}},
            "fence_contents.federation",
            "none of `fences`",
            id="a content of a fence that is not held",
        ),
        pytest.param({"doors": []}, "doors", "not a key", id="a key of another version"),
    ],
)
def test_the_refusal_names_file_field_and_problem(
    tmp_path: Path, change: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(ConfigurationRefusedError) as refusal:
        read(tmp_path, GOOD | change)
    assert str(refusal.value).startswith(f"{tmp_path / 'launcher.yaml'}: {field} ")
    assert problem in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"a: [", "not valid YAML at line 1, column 5", id="unfinished YAML"),
        pytest.param(b"- a", "must hold a YAML mapping, but holds a list", id="a list"),
        pytest.param(b"a: \xff", "is not UTF-8", id="bytes that are no text"),
        pytest.param(None, "No such file", id="a missing file"),
    ],
)
def test_a_file_that_holds_no_mapping_is_named(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "homeserver.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationRefusedError, match=re.escape(problem)) as refusal:
        read_mapping(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("smtp_pass: *hunter2\n", id="an alias"),
        pytest.param("smtp_pass: !hunter2 x\n", id="a tag"),
        pytest.param("smtp_pass: 'hunter2\n", id="an open quote"),
        pytest.param("hunter2: [\n", id="an open list"),
    ],
)
def test_a_broken_secret_is_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationRefusedError, match="not valid YAML at line") as refusal:
        read_mapping(path, secret=True)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
