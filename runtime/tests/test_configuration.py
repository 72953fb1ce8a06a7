from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeserver_runtime import configuration
from homeserver_runtime.contract import ConfigurationRefusedError, Launch, Paths
from homeserver_runtime.listeners import ANY_IPV4


@pytest.mark.parametrize(
    ("base", "overlay", "merged"),
    [
        pytest.param({"a": 1}, {}, {"a": 1}, id="an empty overlay changes nothing"),
        pytest.param({}, {"a": 1}, {"a": 1}, id="a new key is added"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="a scalar is replaced"),
        pytest.param(
            {"a": {"b": {"c": 1}, "d": 2}},
            {"a": {"b": {"e": 3}}},
            {"a": {"b": {"c": 1, "e": 3}, "d": 2}},
            id="mappings merge at every depth",
        ),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="a list is replaced, not joined"),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="null replaces a mapping"),
        pytest.param({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}, id="a list replaces a mapping"),
        pytest.param({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="a mapping replaces null"),
    ],
)
def test_merge(base: dict[str, Any], overlay: dict[str, Any], merged: dict[str, Any]) -> None:
    before = yaml.safe_dump(base)
    assert configuration.merge(base, overlay) == merged
    assert yaml.safe_dump(base) == before


@pytest.mark.parametrize(
    ("password", "line"),
    [
        pytest.param("plain", "*:*:*:*:plain\n", id="nothing to escape"),
        pytest.param("a:b", "*:*:*:*:a\\:b\n", id="a colon would end the field"),
        pytest.param("a\\b", "*:*:*:*:a\\\\b\n", id="a backslash would escape"),
        pytest.param("\\:", "*:*:*:*:\\\\\\:\n", id="both, each on its own"),
        pytest.param("# x ", "*:*:*:*:# x \n", id="spaces and a hash stand as they are"),
    ],
)
def test_pgpass_line(password: str, line: str) -> None:
    assert configuration.pgpass_line(password) == line


def libpq_password(line: str) -> str:
    """What libpq makes of a passfile's line (passwordFromFile in fe-connect.c)."""
    rest = line.rstrip("\n").removeprefix("*:*:*:*:")
    password, characters = "", iter(rest)
    for character in characters:
        if character == ":":
            break
        password += next(characters, "\\") if character == "\\" else character
    return password


@given(st.text(alphabet=st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])))
def test_libpq_reads_back_any_password(password: str) -> None:
    assert libpq_password(configuration.pgpass_line(password)) == password


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for directory in ("config", "run"):
        (tmp_path / directory).mkdir()
    paths = Paths(config=tmp_path / "config", run=tmp_path / "run")
    paths.homeserver_yaml.write_text(
        "database: {name: psycopg2, args: {host: db, user: from-file}}\n"
        "email: {smtp_host: mail, smtp_pass: placeholder}\n"
    )
    return paths


def launch(**changes: Any) -> Launch:
    fields: dict[str, Any] = {"name": "sync-0", "role": "worker", "probe_port": 8080}
    return Launch(**fields | changes)


def secret(paths: Paths, text: str) -> Path:
    path = paths.config / "secret"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        pytest.param("10.1.2.3", [ANY_IPV4], id="as the operator says"),
        pytest.param("fd00::12", ["::"], id="to both families, where Services lead to IPv6"),
        pytest.param(None, [ANY_IPV4], id="as the operator says, where nobody tells"),
    ],
)
@pytest.mark.parametrize("key", ["listeners", "worker_listeners"])
def test_listeners_are_bound(paths: Paths, key: str, address: str | None, bound: list[str]) -> None:
    listeners = [
        {"port": 8008, "type": "http", "bind_addresses": [ANY_IPV4], "resources": []},
        {"port": 9000, "type": "metrics", "bind_addresses": [ANY_IPV4]},
        {"path": "/run/s", "type": "http"},
        {"port": 8009, "type": "http", "bind_addresses": ["127.0.0.1"]},
    ]
    with paths.homeserver_yaml.open("a") as file:
        yaml.safe_dump({key: listeners}, file)
    found = configuration.assemble(launch(pod_address=address), paths)[key]
    assert [each["bind_addresses"] for each in found[:2]] == [bound, bound]
    assert found[2:] == listeners[2:]


def test_a_worker_gets_its_name_application_and_log_configuration(paths: Paths) -> None:
    content = configuration.assemble(launch(), paths)
    assert content["worker_name"] == "sync-0"
    assert content["worker_app"] == "synapse.app.generic_worker"
    assert content["worker_log_config"] == str(paths.log_yaml)
    assert content["database"]["args"] == {
        "host": "db",
        "user": "from-file",
        "connect_timeout": configuration.CONNECT_SECONDS,
        "tcp_user_timeout": 0,
        "application_name": "sync-0",
    }


def test_connections_before_entry_are_labelled_with_name_and_pod(paths: Paths) -> None:
    process = launch(fences={"push": 1, "topology": 3}, pod_name="hs-sync-0-7d9f4c-x2x4z")
    arguments = configuration.assemble(process, paths)["database"]["args"]
    assert arguments["application_name"] == "sync-0 7d9f4c-x2x4z"


def test_a_dead_server_is_given_up_as_soon_by_who_asks_as_by_who_is_idle(paths: Paths) -> None:
    keepalives = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
    database = {"name": "psycopg2", "args": keepalives}
    paths.homeserver_yaml.write_text(yaml.safe_dump({"database": database}))
    arguments = configuration.assemble(launch(), paths)["database"]["args"]
    # Milliseconds, as libpq has them.
    assert arguments["tcp_user_timeout"] == 20_000


def test_main_gets_no_worker_settings(paths: Paths) -> None:
    content = configuration.assemble(launch(name="main", role="main"), paths)
    assert not [key for key in content if key.startswith("worker")]
    assert content["log_config"] == str(paths.log_yaml)


def test_overlays_are_merged_in_their_order(paths: Paths) -> None:
    overlays = []
    for index, text in enumerate(("email: {smtp_pass: first}", "email: {smtp_pass: second}")):
        overlays.append(paths.config / f"overlay-{index}.yaml")
        overlays[-1].write_text(text)
    content = configuration.assemble(launch(config_from=tuple(overlays)), paths)
    assert content["email"] == {"smtp_host": "mail", "smtp_pass": "second"}


def test_the_answer_for_other_servers_is_a_module_beside_the_users_own(paths: Paths) -> None:
    overlay = paths.config / "overlay.yaml"
    overlay.write_text("modules: [{module: theirs.Module}]")
    process = launch(config_from=(overlay,), well_known_server="f.example:443")
    assert configuration.assemble(process, paths)["modules"] == [
        {"module": "theirs.Module"},
        {
            "module": "homeserver_runtime.well_known.WellKnownModule",
            "config": {"server": "f.example:443"},
        },
    ]
    assert "modules" not in configuration.assemble(launch(), paths)


def test_the_user_comes_from_its_file_without_the_line_end(paths: Paths) -> None:
    content = configuration.assemble(launch(username_file=secret(paths, "synapse\n")), paths)
    assert content["database"]["args"]["user"] == "synapse"


def test_what_is_written_is_for_this_user_alone(paths: Paths) -> None:
    process = launch(password_file=secret(paths, "pa:ss\n"))
    paths.pgpass.write_text("left by an earlier start")
    paths.pgpass.chmod(0o666)
    configuration.write_pgpass(process, paths)
    finished = configuration.write_finished(configuration.assemble(process, paths), paths)
    assert paths.pgpass.read_text() == "*:*:*:*:pa\\:ss\n"
    assert yaml.safe_load(finished.read_text())["database"]["args"]["passfile"] == str(paths.pgpass)
    for path in (paths.pgpass, finished):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(paths.run.iterdir()) == sorted((paths.pgpass, finished))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("\n", "is empty", id="an empty password"),
        pytest.param("a\nb\n", "more than one line", id="a password of two lines"),
    ],
)
def test_a_password_that_no_passfile_can_hold_is_refused(
    paths: Paths, text: str, problem: str
) -> None:
    process = launch(password_file=secret(paths, text))
    with pytest.raises(ConfigurationRefusedError, match=problem):
        configuration.write_pgpass(process, paths)


def test_a_password_file_that_is_not_mounted_is_named(paths: Paths) -> None:
    with pytest.raises(ConfigurationRefusedError, match="cannot read /secrets/none: No such file"):
        configuration.write_pgpass(launch(password_file=Path("/secrets/none")), paths)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("{}", "database.args must be a mapping", id="no database"),
        pytest.param("database: {name: psycopg2}", "database.args", id="no arguments"),
        pytest.param(
            "database: {name: sqlite3, args: {database: x}}", "must be psycopg2", id="SQLite"
        ),
    ],
)
def test_a_database_that_several_processes_cannot_share_is_refused(
    paths: Paths, text: str, problem: str
) -> None:
    paths.homeserver_yaml.write_text(text)
    with pytest.raises(ConfigurationRefusedError, match=problem):
        configuration.assemble(launch(), paths)
