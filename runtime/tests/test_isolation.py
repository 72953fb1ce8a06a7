"""Processes of a new epoch clear away the same things at the same time, and all of them start."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.processes import ending
from tests.services import wait_until

if TYPE_CHECKING:
    from tests.processes import Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

POSITION = "FROM stream_positions WHERE instance_name = 'gone-0'"


def waits_for_another(site: Site) -> bool:
    """Whether a statement of Synapse's waits for somebody's transaction."""
    return site.query(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
        " AND query LIKE '%DELETE FROM stream_positions%'"
    ) == (1,)


def test_a_writer_that_is_gone_may_be_forgotten_by_somebody_else_at_the_same_time(
    site: Site,
) -> None:
    main = site.write("main", role="main")
    with ending(main.start()):
        main.wait_ready()
        main.signal()
        assert main.wait() == 0
        site.execute("INSERT INTO stream_positions VALUES ('events', 'gone-0', 1)")
        with contextlib.closing(site.postgres.connect(site.database)) as another:
            another.autocommit = False
            another.cursor().execute(f"DELETE {POSITION}")
            main.start()
            wait_until(lambda: waits_for_another(site), what="main has come as far")
            another.commit()
        main.wait_ready()
        assert site.query(f"SELECT count(*) {POSITION}") == (0,)
