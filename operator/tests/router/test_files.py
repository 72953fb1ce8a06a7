"""The router's files: what they say, that HAProxy takes them, and that they hold no secret."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.core.worlds import REGISTRATION
from tests.router.samples import NAMES, everyone, files, sample

GOLDEN = Path(__file__).parent / "golden"

of_every_sample = pytest.mark.parametrize("name", NAMES)


@of_every_sample
def test_the_files_are_those_that_were_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    found, directory = files(sample(name)), GOLDEN / name
    if request.config.getoption("--update-golden"):
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.iterdir():
            old.unlink()
        for file, text in found.items():
            (directory / file).write_text(_shown(file, text))
    reviewed = {path.name: path.read_text() for path in directory.iterdir()}
    assert {file: _shown(file, text) for file, text in found.items()} == reviewed


def _shown(file: str, text: str) -> str:
    return json.dumps(json.loads(text), indent=2) + "\n" if file.endswith(".json") else text


@pytest.mark.haproxy
@of_every_sample
def test_every_haproxy_takes_them(name: str, program: Path, tmp_path: Path) -> None:
    for file, text in files(sample(name)).items():
        (tmp_path / file).write_text(text)
    done = subprocess.run(
        [program, "-c", "-f", tmp_path / "haproxy.cfg"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert [each for each in warnings if "could not resolve address 'mas'" not in each] == []


@of_every_sample
def test_no_token_of_an_application_service_is_in_them(name: str) -> None:
    text = "".join(files(sample(name)).values())
    tokens = [line.split(": ")[1] for line in REGISTRATION.splitlines() if "_token" in line]
    assert tokens
    assert [token for token in tokens if token in text] == []


@of_every_sample
def test_the_agent_and_haproxy_know_the_same_backends_and_slots(name: str) -> None:
    found = files(sample(name))
    backends = json.loads(found["agent.json"])["backends"]
    slots: dict[str, int] = {}
    fallbacks = set()
    backend = ""
    for line in found["haproxy.cfg"].splitlines():
        if line.startswith("backend "):
            backend = line.removeprefix("backend ")
        elif line.startswith("  server s"):
            slots[backend] = slots.get(backend, 0) + 1
            assert f" id {slots[backend]} " in line, "a slot's share follows from its id"
        elif line.startswith("  server main"):
            fallbacks.add(backend)
    assert slots == {each: entry["slots"] for each, entry in backends.items()}
    assert fallbacks == {each for each, entry in backends.items() if "fallback" in entry}


def test_main_stands_in_only_where_it_can_answer() -> None:
    backends = json.loads(files(sample("everything"))["agent.json"])["backends"]
    without = {name for name, entry in backends.items() if "fallback" not in entry}
    assert without == {
        "main", "sso", "media", "media-quarantine",
        "typing", "to-device", "presence", "push-rules",
        "receipts", "devices", "device-keys", "thread-subscriptions",
    }  # fmt: skip


def test_every_class_has_a_backend_whoever_answers_it() -> None:
    names = {target.route_class.name for target in everyone("minimal")} | {"main"}
    backends = json.loads(files(sample("minimal"))["agent.json"])["backends"]
    assert backends.keys() == names
    assert {entry["service"] for entry in backends.values()} == {
        f"{sample('minimal').server.key.name}-main"
    }
