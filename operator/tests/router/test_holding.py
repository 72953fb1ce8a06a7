"""Requests wait for processes that do not listen, and are answered when these do."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.router.rig import LOOPBACK, Answer, Proxy, Servers, proxy, servers
from tests.router.samples import files, sample, with_router

from e2e.cluster.ports import free_port

pytestmark = pytest.mark.haproxy

LOGIN = "/_matrix/client/v3/login"
FIRST_SYNC = "/_matrix/client/v3/sync"
SYNC = f"{FIRST_SYNC}?since=s1"
SEND = "/_matrix/client/v3/rooms/!r:x/send/m.room.message/1"
TYPING = "/_matrix/client/v3/rooms/!r:x/typing/@a:x"
VERSIONS = "/_matrix/client/versions"


@contextmanager
def router(
    program: Path,
    directory: Path,
    port: int,
    *,
    members: int = 3,
    change: Callable[[str], str] = lambda config: config,
    **spec: object,
) -> Iterator[Proxy]:
    found = sample("everything")
    changed = type(found)(found.name, with_router(dict(found.body), **spec), found.users)
    with proxy(
        program, files(changed), directory, port, members=lambda _backend: members, change=change
    ) as it:
        yield it


@contextmanager
def asking(it: Proxy, method: str, path: str) -> Iterator[Future[Answer]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(it.ask, method, path, None, b"{}" if method != "GET" else None)


@pytest.mark.parametrize(
    ("method", "path", "backend"),
    [("GET", SYNC, "sync"), ("POST", LOGIN, "login"), ("PUT", SEND, "event-sending"),
     ("GET", VERSIONS, "client"), ("PUT", TYPING, "typing"), ("POST", "/_matrix/x", "main")],
    ids=["by user", "a login", "by room", "by nothing", "one process", "main"],
)  # fmt: skip
def test_a_request_that_finds_nobody_waits_and_is_answered(
    program: Path, tmp_path: Path, method: str, path: str, backend: str
) -> None:
    port = free_port()
    with router(program, tmp_path, port) as it, asking(it, method, path) as answer:
        # More often than there are servers: it waits between its tries.
        it.until(lambda: it.retries(backend) > 4)
        assert not answer.done()
        found = Servers(port)
        try:
            assert answer.result().status == 200
        finally:
            found.stop()


@pytest.mark.parametrize("path", [SYNC, VERSIONS, TYPING], ids=["hashed", "not hashed", "single"])
def test_past_the_bound_clients_are_told_to_try_again(
    program: Path, tmp_path: Path, path: str
) -> None:
    with router(program, tmp_path, free_port(), holdSeconds=1) as it:
        answer = it.ask("GET", path)
        assert answer.status == 503
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert json.loads(answer.text)["retry_after_ms"] == 2000
        (line,) = it.lines(1)
        # 5 tries in a second, of which every third goes elsewhere at once.
        assert json.loads(line)["total_ms"] >= 600


@pytest.mark.parametrize(
    ("method", "path", "again"),
    [
        ("GET", SYNC, True),
        ("GET", VERSIONS, True),
        ("OPTIONS", LOGIN, True),
        ("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", True),
        ("DELETE", "/_matrix/client/v3/profile/@a:x/m.tz", True),
        ("PUT", "/_matrix/client/v3/rooms/!r:x/state/m.room.topic", True),
        ("GET", FIRST_SYNC, False),
        ("GET", "/_matrix/media/v3/thumbnail/x/y", False),
        ("POST", SEND, False),
        ("POST", LOGIN, False),
        ("PUT", "/_matrix/client/v3/sendToDevice/m.x/1", False),
        ("POST", "/_matrix/client/v3/createRoom", False),
        ("POST", "/_matrix/client/v3/logout", False),
        ("DELETE", "/_matrix/client/v3/directory/room/%23a:x", False),
    ],
)
def test_what_was_sent_and_not_answered_is_sent_again_only_where_that_is_safe(
    program: Path, tmp_path: Path, method: str, path: str, again: bool
) -> None:
    with servers() as found, router(program, tmp_path, found.port) as it:
        found.lose = lambda number: number == 1
        answer = it.ask(method, path, body=b"{}" if method in {"PUT", "POST"} else None)
        assert answer.status == (200 if again else 502)
        assert len(found.requests) == (2 if again else 1)
        if not again:
            assert json.loads(answer.text)["errcode"] == "M_UNKNOWN"


@pytest.mark.parametrize(
    ("header", "query", "again"),
    [
        pytest.param("Bearer syt_YWxpY2U_a_b", "", True, id="a device of Synapse's"),
        pytest.param("bearer mat_abc", "", True, id="one of the Matrix Authentication Service's"),
        pytest.param("", "?access_token=syt_YWxpY2U_a_b", True, id="one that the URL names"),
        pytest.param("Bearer 0123abc", "?user_id=@bridged:x", False, id="a bridge for a user"),
        pytest.param("Bearer 0123abc", "", False, id="a bridge's own user"),
        pytest.param("", "", False, id="nobody"),
    ],
)
def test_a_message_is_sent_again_only_for_a_device(
    program: Path, tmp_path: Path, header: str, query: str, again: bool
) -> None:
    """Synapse knows it again by the device, and application services have none."""
    with servers() as found, router(program, tmp_path, found.port) as it:
        found.lose = lambda number: number == 1
        headers = {"Authorization": header} if header else {}
        answer = it.ask("PUT", f"{SEND}{query}", headers, body=b"{}")
        assert (answer.status, len(found.requests)) == ((200, 2) if again else (502, 1))


def test_whoever_has_gone_is_not_answered_any_more(program: Path, tmp_path: Path) -> None:
    port = free_port()
    with router(program, tmp_path, port) as it:
        with socket.create_connection((LOOPBACK, it.port)) as client:
            client.sendall(
                f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
            )
            it.until(lambda: it.retries("login") > 1)
        (line,) = it.lines(1)
        assert json.loads(line)["ended"].startswith("C")
        found = Servers(port)
        try:
            assert it.ask("GET", VERSIONS).status == 200
            assert found.requests == [f"GET {VERSIONS}"]
        finally:
            found.stop()


def test_an_answer_may_take_longer_than_a_client_may_be_silent(
    program: Path, tmp_path: Path
) -> None:
    def impatient(config: str) -> str:
        changed = re.sub("timeout (client|http-request|http-keep-alive) .*",
                         r"timeout \1 300ms", config)  # fmt: skip
        assert changed != config
        return changed

    with servers() as found, router(program, tmp_path, found.port, change=impatient) as it:
        found.delay = 1.0
        assert it.ask("GET", SYNC).status == 200
        assert it.ask("POST", LOGIN, body=b"{}").status == 200


@pytest.mark.parametrize("path", [SYNC, VERSIONS], ids=["hashed", "not hashed"])
def test_one_of_several_that_is_gone_fails_nobody(program: Path, tmp_path: Path, path: str) -> None:
    """In the time until the agent has heard of it."""
    with servers() as found, router(program, tmp_path, found.port) as it:
        for backend in ("sync", "client"):
            it.admin(f"set server {backend}/s1 addr 127.0.0.66 port {free_port()}")
        # Where nothing is hashed, slots are drawn by lot: ask until somebody has found nobody.
        for number in range(100):
            bearer = {"Authorization": f"Bearer token{number}"}
            assert it.ask("GET", path, bearer).status == 200
            if number > 10 and it.retries("sync") + it.retries("client"):
                return
    pytest.fail("nobody was sent to the one that is gone")


def test_an_empty_slot_is_filled_at_run_time(program: Path, tmp_path: Path) -> None:
    with servers() as found, router(program, tmp_path, found.port, members=0, holdSeconds=1) as it:
        assert it.ask("GET", SYNC).status == 503
        it.admin(f"set server sync/s3 addr 127.0.0.77 port {found.port}; "
                 "set server sync/s3 state ready")  # fmt: skip
        assert it.ask("GET", SYNC).server == "127.0.0.77"


def test_main_stands_in_for_a_group_that_is_gone_and_only_then(
    program: Path, tmp_path: Path
) -> None:
    with servers() as found, router(program, tmp_path, found.port, members=1) as it:
        it.admin(f"set server sync/main addr 127.0.0.99 port {found.port}; "
                 "set server sync/main state ready")  # fmt: skip
        assert it.ask("GET", SYNC).server != "127.0.0.99"
        it.admin("set server sync/s1 state maint")
        assert it.ask("GET", SYNC).server == "127.0.0.99"
        it.admin("set server sync/s1 state ready")
        assert it.ask("GET", SYNC).server != "127.0.0.99"


def test_main_is_not_stampeded(program: Path, tmp_path: Path) -> None:
    with servers() as found, router(program, tmp_path, found.port, members=0) as it:
        it.admin(f"set server sync/main addr 127.0.0.99 port {found.port}; "
                 "set server sync/main state ready")  # fmt: skip
        at_once, most, lock = 0, 0, threading.Lock()

        def count(_number: int) -> bool:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            threading.Event().wait(0.05)
            with lock:
                at_once -= 1
            return False

        found.lose = count
        with ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda _: it.ask("GET", SYNC).status, range(120)))
        assert set(answers) == {200}
        assert most <= 16
