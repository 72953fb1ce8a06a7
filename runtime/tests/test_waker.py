"""A thread that sleeps on sockets wakes when one of them has something, or when it is woken."""

from __future__ import annotations

import fcntl
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from homeserver_runtime.fence.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 1500
"""More connections than select() can count."""


@pytest.fixture(params=[3, MANY], ids=["a few connections", "a thousand connections"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Of which the first has a number as if there were so many."""
    first, second = socket.socketpair()
    with first, second:
        number = fcntl.fcntl(first.fileno(), fcntl.F_DUPFD_CLOEXEC, request.param)
        with socket.socket(fileno=number) as numbered:
            yield numbered, second


def test_what_arrives_ends_the_sleep(pair: tuple[socket.socket, socket.socket]) -> None:
    slept_on, other = pair
    other.send(b"x")
    assert Waker().sleep(slept_on, seconds=10)


def test_the_end_of_a_connection_ends_the_sleep(pair: tuple[socket.socket, socket.socket]) -> None:
    slept_on, other = pair
    other.close()
    assert Waker().sleep(slept_on, seconds=10)


def test_who_is_woken_is_told_of_no_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    waker = Waker()
    threading.Timer(0.1, waker.wake).start()
    assert not waker.sleep(pair[0], seconds=10)


def test_a_wake_up_that_comes_early_is_not_lost(pair: tuple[socket.socket, socket.socket]) -> None:
    waker = Waker()
    waker.wake()
    assert not waker.sleep(pair[0], seconds=None)


def test_time_is_up(pair: tuple[socket.socket, socket.socket]) -> None:
    assert not Waker().sleep(pair[0], seconds=0.01)
