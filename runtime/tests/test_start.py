"""How a process ends that cannot start, and how it waits for others."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.processes import ending, http_listener
from tests.services import LOOPBACK, wait_until

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from tests.processes import Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)


@pytest.mark.parametrize(
    ("settings", "launcher", "message"),
    [
        pytest.param(
            {"trusted_key_servers": "matrix.org"},
            {},
            "trusted_key_servers, if given, must be a list, not a str",
            id="what Synapse's parser refuses",
        ),
        pytest.param(
            {"stream_writers": {"nonsense": ["main"]}},
            {},
            "Synapse cannot read the configuration: TypeError",
            id="what Synapse's parser trips over",
        ),
        pytest.param(
            {"listeners": [http_listener(free_port(), ["media"])]},
            {},
            "'media' resource conflicts with enable_media_repo=False",
            id="what Synapse refuses only when it starts to listen",
        ),
        pytest.param(
            {},
            {"config_from": ["/nonexistent/homeserver.yaml"]},
            "cannot read /nonexistent/homeserver.yaml: No such file or directory",
            id="a Secret that is not mounted",
        ),
        pytest.param({}, {"version": 7}, "version is 7", id="a launcher.yaml of another format"),
    ],
)
def test_a_refused_configuration_ends_with_78_and_the_message(
    site: Site, settings: dict[str, Any], launcher: dict[str, Any], message: str
) -> None:
    process = site.write("main", role="main", settings=settings, launcher=launcher)
    with ending(process.start()):
        assert process.wait() == 78
    assert message in process.termination_message
    assert "Traceback" not in process.termination_message
    assert message in process.log


def test_a_database_that_refuses_ends_with_1_and_its_name(site: Site) -> None:
    process = site.write(
        "main", role="main", settings={"database": {"args": {"dbname": "elsewhere"}}}
    )
    with ending(process.start()):
        assert process.wait() == 1
    assert process.termination_message.startswith(
        "cannot use the database 'elsewhere' at 127.0.0.1, port "
    )
    assert 'database "elsewhere" does not exist' in process.termination_message
    assert "Traceback" not in process.termination_message


def test_a_database_that_is_not_there_yet_is_waited_for_until_told_to_stop(site: Site) -> None:
    process = site.write(
        "main", role="main", settings={"database": {"args": {"port": free_port()}}}
    )
    with ending(process.start()):
        wait_until(
            lambda: "Connection refused" in (process.probe("/state")[1].get("waiting_for") or ""),
            what="a process that waits for its database",
        )
        process.signal()
        assert process.wait() == 0


def test_a_port_that_is_taken_ends_with_1_and_its_number(site: Site) -> None:
    process = site.write("main", role="main")
    with socket.create_server((LOOPBACK, process.client_port)), ending(process.start()):
        assert process.wait() == 1
    assert process.termination_message == (
        f"cannot listen on 127.0.0.1, port {process.client_port}: Address already in use; "
        "see this process's listeners\n"
    )


def test_a_worker_waits_for_main_to_make_the_schema_and_can_be_stopped_meanwhile(
    site: Site,
) -> None:
    ports = {"main": free_port(), "persister-0": free_port()}
    worker = site.write("persister-0", replication_ports=ports)
    with ending(worker.start()):
        expected = "migrating, waiting for main to make the database schema"
        wait_until(
            lambda: worker.probe("/ready") == (503, {"reason": expected}),
            what="the worker to wait for main",
        )
        assert worker.probe("/started")[0] == 200
        assert worker.probe("/live")[0] == 200
        worker.signal()
        assert worker.wait() == 0


def test_a_worker_waits_for_the_last_delta_and_then_starts(site: Site) -> None:
    ports = {"main": free_port(), "persister-0": free_port()}
    main = site.write("main", role="main", replication_ports=ports)
    worker = site.write("persister-0", replication_ports=ports)
    with ending(main.start(), worker.start()):
        main.wait_ready()
        worker.wait_ready()
        worker.signal()
        assert worker.wait() == 0

        last = site.query(
            "SELECT version, file FROM applied_schema_deltas ORDER BY 1 DESC, 2 DESC LIMIT 1"
        )
        site.execute("DELETE FROM applied_schema_deltas WHERE (version, file) = (%s, %s)", last)
        worker.start()
        wait_until(
            lambda: (
                worker.probe("/ready")[1]
                .get("reason", "")
                .startswith(
                    "migrating, waiting for main to finish the migration "
                    f"(Database schema delta {last[1]} has not been applied"
                )
            ),
            what="the worker to wait for the delta",
        )
        site.execute("INSERT INTO applied_schema_deltas (version, file) VALUES (%s, %s)", last)
        worker.wait_ready()
