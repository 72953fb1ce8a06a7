"""Asking whose a token is fails no request, never piles up, and remembers no more than it may."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.router.asked import SYNC, asking, bearer, say
from tests.router.rig import LOOPBACK, Proxy, Servers, proxy
from tests.router.samples import files, sample

from e2e.cluster.ports import free_port

pytestmark = pytest.mark.apiserver

USER = "@alice:maple.example"


def with_values(**values: float) -> Callable[[str], str]:
    """The script with other bounds."""

    def change(lua: str) -> str:
        for name, value in values.items():
            lines = lua.splitlines()
            (at,) = (n for n, line in enumerate(lines) if line.startswith(f"local {name} = "))
            lines[at] = f"local {name} = {value}"
            lua = "\n".join(lines) + "\n"
        return lua

    return change


def key(it: Proxy, number: int) -> str:
    """By what the request of this number was spread."""
    found: str = json.loads(it.lines(number)[number - 1])["key"]
    return found


def trickle(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for byte in b'{"user_id"' * 10:
        time.sleep(0.3)
        handler.wfile.write(bytes([byte]))


def raw(data: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def body(text: str, status: int = 200) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: say(handler, status, text.encode())


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(lambda _handler: time.sleep(5), id="slow"),
        pytest.param(trickle, id="byte by byte"),
        pytest.param(body("{}", 500), id="500"),
        pytest.param(body('{"user_id": "@alice:maple.example"}', 503), id="503 and a user"),
        pytest.param(body('{"errcode": "M_UNKNOWN_TOKEN"}', 401), id="401"),
        pytest.param(body('{"user_id": "@alice:maple.example"}', 403), id="403 and a user"),
        pytest.param(body("", 200), id="nothing"),
        pytest.param(body("<html>@alice:maple.example</html>"), id="no JSON"),
        pytest.param(body('{"user_id": ["@alice:maple.example"]}'), id="no text"),
        pytest.param(body('{"user": "@alice:maple.example"}'), id="no user"),
        pytest.param(body('{"user_id": "alice"}'), id="no user's id"),
        pytest.param(body('{"user_id": "@:maple.example"}'), id="no localpart"),
        pytest.param(body('{"user_id": "@alice:maple.example\\r\\nX: y"}'), id="an end of line"),
        pytest.param(body('{"user_id": "@' + "a" * 300 + ':x"}'), id="a long one"),
        pytest.param(body('{"x": "' + "x" * 1_000_000 + '", "user_id": "@a:x"}'), id="huge"),
        pytest.param(raw(b""), id="gone"),
        pytest.param(raw(b"nonsense\r\n\r\n"), id="no HTTP"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), id="cut off"),
    ],
)
def test_without_an_answer_a_request_is_served_by_its_token(
    program: Path, tmp_path: Path, answers: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    with asking(program, tmp_path, {}) as (it, homeserver, _behind):
        homeserver.answers = answers
        assert it.ask("GET", SYNC, bearer("mat_abc")).status == 200
        assert len(homeserver.asked) >= 1
        assert key(it, 1) == "token"
        assert json.loads(it.lines(1)[0])["total_ms"] < 2000
        homeserver.answers, homeserver.users["mat_x"] = None, USER
        assert it.ask("GET", SYNC, bearer("mat_x")).status == 200
        assert key(it, 2) == "whoami", "the next token is asked for"


def test_a_script_that_fails_fails_no_request(program: Path, tmp_path: Path) -> None:
    def broken(lua: str) -> str:
        changed = lua.replace('local digest = txn:get_var("txn.digest")', 'error("no")')
        assert changed != lua
        return changed

    with asking(program, tmp_path, {}, change=broken) as (it, _homeserver, _behind):
        assert it.ask("GET", SYNC, bearer("mat_abc")).status == 200
        assert key(it, 1) == "token"
        assert "mat_abc" not in it.log.read_text()


def test_where_nobody_answers_lookups_requests_go_on_at_once(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {"mat_x": USER}) as (it, homeserver, _behind):
        for slot in range(1, 5):
            it.admin(f"set server whoami/s{slot} state maint")
        assert it.ask("GET", SYNC, bearer("mat_x")).status == 200
        assert (key(it, 1), homeserver.asked) == ("token", [])
        assert json.loads(it.lines(1)[0])["total_ms"] < 800


def test_a_request_is_held_as_ever_while_nobody_listens(program: Path, tmp_path: Path) -> None:
    port = free_port()
    with (
        proxy(program, files(sample("whoami")), tmp_path, port, members=lambda _backend: 3) as it,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(it.ask, "GET", SYNC, bearer("mat_x"))
        it.until(lambda: it.retries("sync") > 4)
        found = Servers(port)
        try:
            assert answer.result().status == 200
        finally:
            found.stop()


def test_lookups_that_find_nobody_stop_for_a_while(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {}, change=pause(1)) as (it, homeserver, _behind):
        homeserver.answers = body("{}", 500)
        for number in range(10):
            assert it.ask("GET", SYNC, bearer(f"mat_{number}")).status == 200
        assert len(homeserver.asked) == 3
        homeserver.answers, homeserver.users["mat_x"] = None, USER
        it.until(lambda: it.ask("GET", SYNC, bearer("mat_x")).status == 200 and is_known(it))
    assert len(homeserver.asked) == 4


def pause(seconds: float) -> Callable[[str], str]:
    def change(lua: str) -> str:
        changed = lua.replace("FAILURES, PAUSE = 3, 5", f"FAILURES, PAUSE = 3, {seconds}")
        assert changed != lua
        return changed

    return change


def is_known(it: Proxy) -> bool:
    return '"key":"whoami"' in it.log.read_text()


def test_requests_that_share_a_token_ask_once(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {"mat_x": USER}) as (it, homeserver, _behind):
        homeserver.delay = 0.4
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(it.ask, "GET", SYNC, bearer("mat_x")) for _ in range(20)]
            assert {each.result().server for each in asked} == {asked[0].result().server}
        assert len(homeserver.asked) == 1
        assert {json.loads(line)["key"] for line in it.lines(20)} == {"whoami"}


def test_a_flood_of_unknown_tokens_is_asked_for_in_bounds(program: Path, tmp_path: Path) -> None:
    """From one network, in a minute, and from many, at a time."""
    with asking(program, tmp_path, {"mat_x": USER}) as (it, homeserver, _behind):
        homeserver.delay = 0.02

        def ask(number: int, source: str) -> int:
            headers = bearer(f"mat_{source}{number}", **{"X-Forwarded-For": source})
            return it.ask("GET", SYNC, headers).status

        with ThreadPoolExecutor(40) as pool:
            answers = pool.map(lambda n: ask(n, f"2001:db8::{n % 99}"), range(400))
            assert set(answers) == {200}
            # Those in flight when the bound is reached are more.
            assert 60 <= len(homeserver.asked) <= 60 + 16
            before = len(homeserver.asked)
            answers = pool.map(lambda n: ask(n, f"198.51.100.{n % 200}"), range(400))
            assert set(answers) == {200}
        assert len(homeserver.asked) > before, "others are asked for"
        assert homeserver.most_at_once <= 16
        homeserver.delay = 0
        source = {"X-Forwarded-For": "203.0.113.1"}

        # While so many wait, the first request does not: the next one finds the answer.
        def found() -> bool:
            it.ask("GET", SYNC, bearer("mat_x", **source))
            return is_known(it)

        it.until(found)


def test_unknown_tokens_of_all_the_world_are_bounded(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {}, change=with_values(ALL_STRANGERS=20)) as (
        it, homeserver, _behind
    ):  # fmt: skip
        for number in range(40):
            source = {"X-Forwarded-For": f"198.51.100.{number}"}
            it.ask("GET", SYNC, bearer(f"mat_{number}", **source))
        assert len(homeserver.asked) == 20


def test_few_wait_where_answers_are_slow(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {}, change=with_values(WAITERS=2)) as (it, homeserver, _behind):
        homeserver.delay = 2.5
        with ThreadPoolExecutor(12) as pool:
            answers = pool.map(lambda n: it.ask("GET", SYNC, bearer(f"mat_{n}")).status, range(12))
            assert set(answers) == {200}
        waited = [each for each in map(json.loads, it.lines(12)) if each["total_ms"] >= 900]
        # Two in each second that they took to come.
        assert 1 <= len(waited) <= 6


def test_clients_that_go_leave_no_lookup_behind(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {"mat_x": USER}) as (it, homeserver, _behind):
        homeserver.delay = 0.3
        for number in range(40):
            with socket.create_connection((LOOPBACK, it.port)) as client:
                head = f"GET {SYNC} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer mat_{number}\r\n"
                client.sendall(f"{head}X-Forwarded-For: 198.51.100.{number}\r\n\r\n".encode())
        it.until(lambda: len(homeserver.asked) >= 16)
        it.until(lambda: homeserver.at_once == 0)
        homeserver.delay = 0
        it.ask("GET", SYNC, bearer("mat_x"))
        it.until(lambda: is_known(it))


@pytest.mark.parametrize(
    ("token", "bound"),
    [pytest.param("mat_x", {"KEEP": 0.5}, id="a user"),
     pytest.param("mat_y", {"KEEP_NOBODY": 0.5}, id="that there is none")],
)  # fmt: skip
def test_an_answer_is_remembered_for_its_time(
    program: Path, tmp_path: Path, token: str, bound: dict[str, float]
) -> None:
    with asking(program, tmp_path, {"mat_x": USER}) as (it, homeserver, _behind):
        for _ in range(5):
            it.ask("GET", SYNC, bearer(token))
        assert len(homeserver.asked) == 1
    with asking(program, tmp_path, {"mat_x": USER}, change=with_values(**bound)) as (
        it, homeserver, _behind
    ):  # fmt: skip

        def again() -> bool:
            it.ask("GET", SYNC, bearer(token))
            return len(homeserver.asked) >= 3

        it.until(again)
        # Longer than anything is kept, with nobody asking meanwhile.
        time.sleep(1)
        before = len(homeserver.asked)
        it.ask("GET", SYNC, bearer(token))
        assert len(homeserver.asked) == before + 1


def test_no_more_tokens_are_remembered_than_there_is_room_for(
    program: Path, tmp_path: Path
) -> None:
    users = {f"mat_{number}": USER for number in range(41)}

    def small(lua: str) -> str:
        changed = lua.replace("USERS, NOBODIES = 50000, 20000", "USERS, NOBODIES = 40, 40")
        assert changed != lua
        return changed

    with asking(program, tmp_path, users, change=small) as (it, homeserver, _behind):

        def asked(token: str) -> bool:
            before = len(homeserver.asked)
            it.ask("GET", SYNC, bearer(token))
            return len(homeserver.asked) > before

        assert all(asked(token) for token in users)
        assert not asked("mat_40")
        assert not asked("mat_21"), "the younger half"
        assert asked("mat_0"), "the oldest is forgotten"


def test_unknown_tokens_drive_out_no_known_one(program: Path, tmp_path: Path) -> None:
    def small(lua: str) -> str:
        return lua.replace("USERS, NOBODIES = 50000, 20000", "USERS, NOBODIES = 10, 10")

    with asking(program, tmp_path, {"mat_x": USER}, change=small) as (it, homeserver, _behind):
        it.ask("GET", SYNC, bearer("mat_x"))
        for number in range(50):
            it.ask("GET", SYNC, bearer(f"mat_{number}"))
        before = len(homeserver.asked)
        assert before > 40
        it.ask("GET", SYNC, bearer("mat_x"))
        assert len(homeserver.asked) == before
