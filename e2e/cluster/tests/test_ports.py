import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.ports import free_port


def test_no_port_is_given_twice_or_is_one_that_clients_get() -> None:
    clients_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    given = [free_port() for _ in range(200)]
    assert len(set(given)) == len(given)
    assert max(given) < clients_from


def test_a_port_on_which_somebody_else_listens_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_port()
    draws = iter([taken, taken + 1])
    monkeypatch.setattr("e2e.cluster.ports._FIRST", 0)
    monkeypatch.setattr("e2e.cluster.ports._given", set())
    monkeypatch.setattr(secrets, "randbelow", lambda _end: next(draws))
    with socket.create_server(("127.0.0.2", taken)):
        assert free_port() == taken + 1


def test_no_other_process_gets_a_port_while_this_one_lives() -> None:
    """Nobody listens at it yet: whoever asked writes it into a configuration first."""
    taken = free_port()
    program = (
        "import secrets; from e2e.cluster import ports\n"
        f"draws = iter([{taken}, {taken} + 1, {taken} + 2, {taken} + 3])\n"
        "secrets.randbelow = lambda end: next(draws) - ports._FIRST\n"
        "print(ports.free_port())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(other.stdout) > taken
