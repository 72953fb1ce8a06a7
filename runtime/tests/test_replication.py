"""Whether Redis answers is asked on the wire, of whatever speaks there."""

from __future__ import annotations

import contextlib
import socket
import threading
import types
from typing import TYPE_CHECKING

import pytest
from tests.services import LOOPBACK

from e2e.cluster.ports import free_port
from homeserver_runtime.replication import redis_answers

if TYPE_CHECKING:
    from collections.abc import Iterator


def settings(port: int) -> types.SimpleNamespace:
    return types.SimpleNamespace(
        redis_path=None, redis_host=LOOPBACK, redis_port=port, redis_use_tls=False
    )


@contextlib.contextmanager
def server(reply: bytes) -> Iterator[int]:
    """Answers the first PING with `reply` and hangs up."""

    def answer() -> None:
        connection = listener.accept()[0]
        with connection:
            if connection.recv(64) == b"PING\r\n":
                connection.sendall(reply)

    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        pytest.param(b"+PONG\r\n", True, id="a Redis without a password answers"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", True, id="a refusal is an answer"),
        pytest.param(b"-LOADING Redis is loading\r\n", False, id="a Redis that loads serves none"),
        pytest.param(b"-MASTERDOWN Link with MASTER is down\r\n", False, id="a lost replica"),
        pytest.param(b"", False, id="whoever hangs up does not answer"),
    ],
)
def test_an_answer_of_redis(reply: bytes, answers: bool) -> None:
    with server(reply) as port:
        assert redis_answers(settings(port)) is answers


def test_nobody_there() -> None:
    assert not redis_answers(settings(free_port()))


def test_a_redis_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeserver_runtime.replication._ANSWER_SECONDS", 0.1)
    with socket.create_server((LOOPBACK, 0)) as listener:
        assert not redis_answers(settings(listener.getsockname()[1]))
