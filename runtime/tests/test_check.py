"""`check` asks the real parser: one run over many processes, as the operator's Job does it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.processes import RUNTIME, Site
from tests.services import Postgres, Redis

if TYPE_CHECKING:
    from pathlib import Path

ACCEPTED: dict[str, dict[str, Any]] = {
    "main": {"role": "main"},
    "a-worker": {},
    "a-worker-by-pod-name": {"launcher": {"name": None}},
    "a-registration-and-an-address": {
        "registration": {"protocols": ["irc"]},
        "settings": {
            "registrations_require_3pid": ["email"],
            "email": {"smtp_host": "mail", "notif_from": "us <us@example.com>"},
            "public_baseurl": "https://example.com/",
        },
    },
}

REGISTRATION: dict[str, Any] = {
    "id": "irc", "url": None, "as_token": "word-as", "hs_token": "word-hs",
    "sender_localpart": "irc", "namespaces": {},
}  # fmt: skip

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an-unknown-writer": (
        {"settings": {"stream_writers": {"typing": ["nobody"]}}},
        "Instance 'nobody' is configured to write typing but does not appear in `instance_map`",
    ),
    "a-type-the-parser-trips-over": (
        {"settings": {"stream_writers": {"nonsense": ["master"]}}},
        "Synapse cannot read the configuration: TypeError",
    ),
    "a-worker-that-is-main": ({"role": "main", "settings": {"worker_app": "x"}}, "worker_app"),
    "an-unknown-worker-app": (
        {"settings": {"worker_app": "synapse.app.nonsense"}},
        "worker_app is 'synapse.app.nonsense', which cannot run as worker",
    ),
    "a-missing-secret": (
        {"settings": {"macaroon_secret_key_path": "/nonexistent/macaroon"}},
        "/nonexistent/macaroon",
    ),
    "a-missing-overlay": (
        {"launcher": {"config_from": ["/nonexistent/overlay"]}},
        "cannot read /nonexistent/overlay: No such file or directory",
    ),
    "a-module-that-is-not-installed": (
        {"settings": {"modules": [{"module": "nonexistent.Module"}]}},
        "No module named 'nonexistent'",
    ),
    "a-registration-with-a-word-for-a-list": (
        {"registration": {"protocols": "irc"}},
        "Optional 'protocols' must be a list if present.",
    ),
    "a-registration-with-a-network-that-is-none": (
        {"registration": {"ip_range_whitelist": ["nowhere"]}},
        "nowhere",
    ),
    "an-address-that-cannot-be-verified": (
        {"settings": {"registrations_require_3pid": ["email"]}},
        "registrations_require_3pid names email, but email validation is not configured",
    ),
    "a-number-that-cannot-be-verified": (
        {"settings": {"registrations_require_3pid": ["msisdn"]}},
        "registrations_require_3pid names msisdn, but account_threepid_delegates does not",
    ),
    "consent-that-nobody-can-be-asked-for": (
        {"role": "main", "consent": {"server_notice_content": {"body": "x"}}},
        "it requires server_notices, which are not configured",
    ),
    "another-format": ({"launcher": {"version": 2}}, "version is 2"),
    "a-log-handler-that-does-not-exist": ({"log": {"root": {"handlers": ["none"]}}}, "log.yaml"),
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    code: int
    stderr: str
    termination_message: str


class Checks:
    """Runs `check` over processes that are made of the tables above."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.scratch = directory / "scratch"
        postgres, redis = Postgres(port=5432, password="unused"), Redis(directory)
        self._site = Site(directory=directory, postgres=postgres, redis=redis, database="none")

    def write(
        self,
        name: str,
        *,
        log: dict[str, Any] | None = None,
        registration: dict[str, Any] | None = None,
        consent: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> Path:
        ports = {"main": 9093, "persister-0": 9094}
        settings = dict(settings or {})
        if registration is not None:
            file = self._directory / f"{name}.registration.yaml"
            file.write_text(yaml.safe_dump(REGISTRATION | registration))
            settings["app_service_config_files"] = [str(file)]
        if consent is not None:
            where = {"template_dir": str(self._directory), "version": "1"}
            settings["user_consent"] = where | consent
        process = self._site.write(name, replication_ports=ports, settings=settings, **options)
        if log is not None:
            (process.directory / "log.yaml").write_text(yaml.safe_dump({"version": 1} | log))
        return process.directory

    def run(self, *directories: Path) -> Outcome:
        message = self._directory / "termination-log"
        message.unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "POD_NAME"}
        self.scratch.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "homeserver_runtime", "check"),
                *("--termination-log", str(message), *map(str, directories)),
            ],
            cwd=self._directory,
            env=environment | {"PYTHONPATH": str(RUNTIME), "TMPDIR": str(self.scratch)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = message.read_text() if message.exists() else ""
        return Outcome(done.returncode, done.stderr, said)


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Checks:
    return Checks(tmp_path_factory.mktemp("check"))


@pytest.fixture(scope="module")
def accepted(checks: Checks) -> list[Path]:
    return [checks.write(name, **options) for name, options in ACCEPTED.items()]


@pytest.fixture(scope="module")
def outcome(checks: Checks, accepted: list[Path]) -> Outcome:
    """One run over everything, good and bad mixed."""
    refused = [checks.write(name, **options) for name, (options, _) in REFUSED.items()]
    return checks.run(*refused, *accepted)


@pytest.mark.long
def test_processes_that_synapse_accepts_end_with_0_no_word_and_no_trace(
    checks: Checks, accepted: list[Path]
) -> None:
    files = [sorted(path.name for path in directory.iterdir()) for directory in accepted]
    assert checks.run(*accepted) == Outcome(0, "", "")
    assert [sorted(path.name for path in directory.iterdir()) for directory in accepted] == files
    assert not list(checks.scratch.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("name", REFUSED)
def test_every_refusal_is_told_with_its_process(outcome: Outcome, name: str) -> None:
    refusals = outcome.termination_message.split(f"{name}: ", 1)
    assert len(refusals) == 2, outcome.termination_message
    until_the_next = refusals[1]
    for other in REFUSED:
        until_the_next = until_the_next.split(f"\n{other}: ", 1)[0]
    assert REFUSED[name][1] in until_the_next


def test_refusals_end_with_78_and_accepted_processes_are_not_named(outcome: Outcome) -> None:
    assert outcome.code == 78
    assert outcome.stderr.endswith(outcome.termination_message)
    assert "Traceback" not in outcome.stderr
    assert len(outcome.termination_message.splitlines()) >= len(REFUSED)
    assert not [name for name in ACCEPTED if f"\n{name}: " in f"\n{outcome.stderr}"]
