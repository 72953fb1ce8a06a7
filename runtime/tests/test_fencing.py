"""The launcher's own connections, made of what Synapse's configuration says of its database."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg2
import pytest
import yaml
from tests.parsed import parsed

from homeserver_runtime import configuration, fencing
from homeserver_runtime.contract import Launch, Paths

if TYPE_CHECKING:
    from pathlib import Path

LAUNCH = Launch(name="main", role="main", probe_port=1, fences={"topology": 1})


def test_who_lets_others_go_first_does_so_for_as_long_as_they_may_take_to_come_back() -> None:
    """Noticing up to a look later, an attempt that is in vain, and one that succeeds."""
    arguments = {"connect_timeout": configuration.CONNECT_SECONDS}
    arguments |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
    assert fencing.yield_seconds(arguments) == 5 + 5 + 2
    # Who has just started does not know since when the node is dead.
    assert fencing.first_yield_seconds(arguments) == 20 + 5 + 2


@pytest.mark.long
def test_a_database_that_accepts_and_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead node behind a load balancer: without a bound a process would wait there for ever."""
    monkeypatch.setattr(configuration, "CONNECT_SECONDS", 2)
    paths = Paths(config=tmp_path, run=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as apart:
        address, port = silent.getsockname()
        arguments = {"host": address, "port": port, "dbname": "x", "user": "x", "password": "x"}
        database = {"name": "psycopg2", "args": arguments}
        paths.homeserver_yaml.write_text(yaml.safe_dump({"database": database}))
        content = configuration.assemble(LAUNCH, paths)
        config = parsed(database=content["database"])
        asked = apart.submit(fencing.prepare, config, LAUNCH)
        try:
            with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
                asked.result(timeout=20)
        finally:
            # Whoever still waits hears that the connection is over.
            silent.accept()[0].close()
