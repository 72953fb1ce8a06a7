"""The launcher's own connections, made of what Synapse's configuration says of its database."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from tests.parsed import parsed

from homeserver_runtime import fencing
from homeserver_runtime.contract import Launch

LAUNCH = Launch(name="main", role="main", probe_port=1, fences={"topology": 1})


def test_a_database_that_accepts_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dead node behind a load balancer: without a bound a process would wait there for ever."""
    monkeypatch.setattr(fencing, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as apart:
        address, port = silent.getsockname()
        arguments = {"host": address, "port": port, "dbname": "x", "user": "x", "password": "x"}
        config = parsed(database={"name": "psycopg2", "args": arguments})
        asked = apart.submit(fencing.refuse_pooler, config, LAUNCH)
        try:
            with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
                asked.result(timeout=20)
        finally:
            # Whoever still waits hears that the connection is over.
            silent.accept()[0].close()
