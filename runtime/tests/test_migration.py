"""A migration takes as long as it takes: nobody is killed for it, and everybody waits."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.processes import ending
from tests.services import wait_until

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

DELTA = "94/01_redactions_recheck.sql"


@contextlib.contextmanager
def unmigrated(site: Site) -> Iterator[Any]:
    """The schema before its last version, and a lock on a table that has to change."""
    site.execute("ALTER TABLE redactions DROP COLUMN recheck")
    site.execute("DELETE FROM applied_schema_deltas WHERE file = %s", (DELTA,))
    site.execute("UPDATE schema_version SET version = version - 1, upgraded = true")
    with contextlib.closing(site.postgres.connect(site.database)) as connection:
        connection.autocommit = False
        connection.cursor().execute("LOCK TABLE redactions IN ACCESS SHARE MODE")
        yield connection


def blocked(site: Site) -> bool:
    """Whether a statement of Synapse's waits for the table."""
    waits = site.query(
        "SELECT count(*) FROM pg_locks WHERE relation = 'redactions'::regclass AND NOT granted"
    )
    return waits == (1,)


def test_a_migration_that_lasts_disturbs_nobody_and_ends(site: Site) -> None:
    ports = {"main": free_port(), "persister-0": free_port()}

    def process(name: str, role: str) -> RuntimeProcess:
        fences = {"fences": {"topology": 1}}
        return site.write(name, role=role, replication_ports=ports, launcher=fences)

    main, worker = process("main", "main"), process("persister-0", "worker")
    with ending(main.start(), worker.start()):
        for each in (main, worker):
            each.wait_ready()
        for each in (main, worker):
            each.signal()
            assert each.wait() == 0
        with unmigrated(site) as connection:
            main.start()
            worker.start()
            image = image_version(main)
            wait_until(lambda: blocked(site), what="the delta to wait for its lock", seconds=60)
            versions = f"the schema from {image - 1} to {image}"
            assert main.probe("/ready") == (
                503,
                {"reason": f"migrating, waiting for PostgreSQL to migrate {versions}"},
            )
            # Synapse commits in between, so main's progress decides what exactly the worker misses.
            wait_until(
                lambda: waits_for_main(worker), what="the worker to wait for main", seconds=30
            )
            for each in (main, worker):
                status, answer = each.probe("/live")
                assert (status, answer["phase"]) == (200, "migrating")
                assert each.probe("/started")[0] == 200
                assert each.probe("/state")[1]["fences"] == {"topology": 1}
            connection.rollback()
            for each in (main, worker):
                each.wait_ready()
        assert site.query("SELECT version FROM schema_version") == (image,)
        state = main.probe("/state")[1]
        assert (state["phase"], state["waiting_for"]) == ("serving", None)
        assert state["database"]["schema_version"] == image


def waits_for_main(worker: RuntimeProcess) -> bool:
    reason = str(worker.probe("/ready")[1].get("reason"))
    return reason.startswith(
        ("migrating, waiting for main to migrate", "migrating, waiting for main to finish")
    )


def image_version(process: RuntimeProcess) -> int:
    """What the image brings the schema to, as soon as the process says so."""

    def said() -> Any:
        return process.probe("/state")[1].get("database", {}).get("image_schema_version")

    wait_until(said, what="a look at the database")
    return int(said())
