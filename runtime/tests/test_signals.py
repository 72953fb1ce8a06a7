"""SIGTERM is heard whatever the process does, and undoes what was under way."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.processes import RUNTIME, ending
from tests.services import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.held import Held
    from tests.processes import RuntimeProcess, Site

pytest_plugins = ("tests.fixtures",)

ROUNDS = 12
AT_ONCE_SECONDS = 5.0
"""Far more than it takes on a busy machine, and less than any wait that it could sit in."""


@pytest.mark.parametrize("place", ["in a lock", "computing", "joining threads"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_signal_is_missed_while_threads_come_and_go(place: str, number: signal.Signals) -> None:
    for _ in range(ROUNDS // 2):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.signals_worker", place],
            env=os.environ | {"PYTHONPATH": str(RUNTIME)},
            stdout=subprocess.PIPE,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"listening\n"
                process.send_signal(number)
                assert process.wait(AT_ONCE_SECONDS) == 0
            finally:
                process.kill()


@pytest.mark.synapse
def test_a_process_that_warms_up_ends_at_once(site: Site) -> None:
    process = site.write("main", role="main")
    with ending(process):
        for _ in range(ROUNDS // 3):
            process.start()
            wait_until(lambda: process.probe("/started")[0] == 503, what="a process that warms up")
            process.signal()
            assert process.wait(AT_ONCE_SECONDS) == 0


@pytest.mark.synapse
def test_a_process_that_waits_for_its_fences_ends_at_once(
    site: Site, hold: Callable[..., Held]
) -> None:
    hold("elsewhere", topology=1).enter()
    process = site.write("main", role="main", launcher={"fences": {"topology": 2}})
    with ending(process.start()):
        wait_until(lambda: process.probe("/state")[1].get("waiting_for"), what="one that waits")
        process.signal()
        assert process.wait(AT_ONCE_SECONDS) == 0


@pytest.mark.synapse
def test_a_process_that_makes_a_new_schema_ends_when_it_is_whole(site: Site) -> None:
    main = site.write("main", role="main", launcher={"fences": {"topology": 1}})
    with ending(main), stopping_at_ddl(site, "CREATE INDEX") as go_on:
        main.start()
        wait_until(lambda: blocked(site), what="a schema that is half made")
        main.signal()
        wait_until(lambda: heard(main), what="the signal to be heard")
        go_on()
        assert main.wait() == 0
        assert main.probe("/state") == (0, {})
        main.start().wait_ready()


@pytest.mark.synapse
def test_a_process_that_migrates_ends_at_once_and_the_next_one_starts_over(site: Site) -> None:
    main = site.write("main", role="main", launcher={"fences": {"topology": 1}})
    with ending(main.start()):
        main.wait_ready()
        for _ in range(2):
            main.signal()
        assert main.wait() == 0
        delta = repeatable_delta()
        site.execute("DELETE FROM applied_schema_deltas WHERE file = %s", (delta,))
        site.execute("UPDATE schema_version SET version = %s", (int(delta.partition("/")[0]),))
        with stopping_at_ddl(site, "DROP TRIGGER", "DROP TABLE", "DROP INDEX") as go_on:
            main.start()
            wait_until(lambda: blocked(site), what="a migration in the middle of a statement")
            assert main.probe("/state")[1]["phase"] == "migrating"
            main.signal()
            assert main.wait(AT_ONCE_SECONDS) == 0
            go_on()
        assert not applied(site, delta)
        main.start().wait_ready()
        assert applied(site, delta)


KEY = 4711


@contextlib.contextmanager
def stopping_at_ddl(site: Site, *commands: str) -> Iterator[Callable[[], None]]:
    """Holds up whoever gives one of these commands, until what it yields is called."""
    tags = ", ".join(f"'{command}'" for command in commands)
    with (
        contextlib.closing(site.postgres.connect(site.database)) as own,
        own.cursor() as cursor,
    ):
        cursor.execute(
            f"""
            CREATE FUNCTION stop_at() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
              IF tg_tag IN ({tags}) THEN PERFORM pg_advisory_xact_lock_shared({KEY}); END IF;
            END $$;
            CREATE EVENT TRIGGER stop_at ON ddl_command_start EXECUTE FUNCTION stop_at();
            SELECT pg_advisory_lock({KEY});
            """
        )
        yield lambda: cursor.execute("SELECT pg_advisory_unlock(%s)", (KEY,))


def blocked(site: Site) -> bool:
    """Whether a process has come to where it is held up."""
    waiting = f"locktype = 'advisory' AND objid = {KEY} AND NOT granted"
    return bool(site.query(f"SELECT count(*) FROM pg_locks WHERE {waiting}")[0])  # noqa: S608


def heard(process: RuntimeProcess) -> bool:
    """Whether no signal is on its way to a process."""
    assert process.popen is not None
    status = Path(f"/proc/{process.popen.pid}/status").read_text(encoding="utf-8")
    return "ShdPnd:\t0000000000000000" in status


def applied(site: Site, delta: str) -> bool:
    rows = f"applied_schema_deltas WHERE file = '{delta}'"
    return bool(site.query(f"SELECT count(*) FROM {rows}")[0])  # noqa: S608


def repeatable_delta() -> str:
    """The latest of Synapse's that may be applied twice; as the table of applied ones has it."""
    synapse = importlib.util.find_spec("synapse")
    assert synapse is not None
    assert synapse.origin is not None
    deltas = Path(synapse.origin).parent / "storage" / "schema" / "main" / "delta"
    found = [
        file
        for pattern in ("*/*.sql", "*/*.sql.postgres")
        for file in deltas.glob(pattern)
        if all(
            " IF EXISTS " in statement
            for statement in re.sub("--.*", "", file.read_text()).split(";")
            if statement.strip()
        )
    ]
    latest = max(found, key=lambda file: (int(file.parent.name), file.name))
    return f"{latest.parent.name}/{latest.name}"
