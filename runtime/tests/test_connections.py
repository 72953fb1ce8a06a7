"""What has arrived on a connection is seen before anybody reads it."""

from __future__ import annotations

import socket

import pytest

from homeserver_runtime.connections import has_unread


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param(b"", False, id="nothing has come"),
        pytest.param(b"G", True, id="a request begins to come"),
    ],
)
def test_what_has_arrived_is_told_and_stays_to_be_read(sent: bytes, *, told: bool) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(sent)
        assert has_unread(near) is told
        if sent:
            assert near.recv(9) == sent


def test_the_other_ones_end_is_nothing_to_read() -> None:
    near, far = socket.socketpair()
    with near:
        far.close()
        assert not has_unread(near)


@pytest.mark.parametrize("connection", [None, object()], ids=["gone", "TLS"])
def test_of_what_is_no_socket_nothing_is_told(connection: object) -> None:
    assert not has_unread(connection)
