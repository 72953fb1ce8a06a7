"""What the router refuses, what it tells the processes, and what it writes down."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.router.rig import LOOPBACK, PATIENCE, Proxy, Servers, proxy, servers
from tests.router.samples import files, sample, with_router

pytestmark = pytest.mark.haproxy

LOGIN = "/_matrix/client/v3/login"
REGISTER = "/_matrix/client/v3/register"
SYNC = "/_matrix/client/v3/sync"
TOKEN = "syt_YWxpY2U_aBcDeFgHiJkLmNoPqRsT_0a1b2c"
SECRETS = (TOKEN, "mat_abcdefghijklmnopqrstuvwxyz", "opensesame")


@pytest.fixture(scope="module")
def running(
    program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, Servers]]:
    directory = tmp_path_factory.mktemp("haproxy")
    found = sample("everything")
    body = {**found.body, "spec": {**found.body["spec"], "ingress": {"maxBodySize": "100k"}}}
    written = files(type(found)(found.name, with_router(body, trustedProxies=2), found.users))

    def impatient(config: str) -> str:
        # What is never finished is answered soon.
        return config.replace("timeout http-request 30s", "timeout http-request 300ms")

    with (
        servers() as behind,
        proxy(program, written, directory, behind.port, change=impatient) as it,
    ):
        yield it, behind


@pytest.fixture
def it(running: tuple[Proxy, Servers]) -> Proxy:
    return running[0]


def code(answer_text: str) -> str:
    found: str = json.loads(answer_text)["errcode"]
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/metrics",
        "/_synapse/replication/x",
        "/_synapse/metrics",
        "/_synapse/admin/v1/x",
        "/_synapse/mas/x",
        "/_matrix",
        "/_matrixx/client",
        "/%5Fmatrix/client/versions",
        "/_synapse/clientx/y",
        "//_matrix/client/versions",
        "/./_matrix/client/versions",
        "/_MATRIX/client/versions",
    ],
)
def test_what_is_not_open_reaches_nobody(running: tuple[Proxy, Servers], path: str) -> None:
    it, behind = running
    before = len(behind.requests)
    answer = it.ask("GET", path)
    assert (answer.status, code(answer.text)) == (404, "M_UNRECOGNIZED")
    assert len(behind.requests) == before


def test_the_admin_api_is_open_where_it_was_asked_for(program: Path, tmp_path: Path) -> None:
    with (
        servers() as behind,
        proxy(program, files(sample("everything")), tmp_path, behind.port) as it,
    ):
        assert it.backend("GET", "/_synapse/admin/v1/server_version") == "main"
        assert it.ask("GET", "/_synapse/adminx/v1").status == 404


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            b"CONNECT /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n\r\n", id="a tunnel"
        ),
        pytest.param(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", id="a proper tunnel"),
        pytest.param(
            b"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            b"Content-Length: 4\r\n\r\nabcd",
            id="two lengths",
        ),
        pytest.param(
            b"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", id="no length"
        ),
        pytest.param(
            b"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            id="a negative length",
        ),
        pytest.param(
            b"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="no chunk",
        ),
        pytest.param(
            b"GET /_matrix/x HTTP/1.1\r\nHost: x\r\nFoo : bar\r\n\r\n", id="a space in a name"
        ),
        pytest.param(b"GET /_matrix/x y HTTP/1.1\r\nHost: x\r\n\r\n", id="a space in a path"),
        pytest.param(b"GET /_matrix/\x00 HTTP/1.1\r\nHost: x\r\n\r\n", id="a zero in a path"),
        pytest.param(
            b"GET /_matrix/" + b"x" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="a long path"
        ),
        pytest.param(
            b"GET /_matrix/x HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
            id="many headers",
        ),
        pytest.param(
            b"GET /_matrix/x HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 40000 + b"\r\n\r\n",
            id="a long header",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
    ],
)
def test_what_is_no_request_reaches_nobody(running: tuple[Proxy, Servers], data: bytes) -> None:
    it, behind = running
    before = len(behind.requests)
    assert re.match(rb"HTTP/1.1 4\d\d |$", it.raw(data))
    assert len(behind.requests) == before
    assert it.ask("GET", "/_matrix/client/versions").status == 200


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /_matrix/x HT", id="headers"),
        pytest.param(
            b"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", id="body"
        ),
    ],
)
def test_what_does_not_arrive_in_time_reaches_nobody(
    running: tuple[Proxy, Servers], data: bytes
) -> None:
    it, behind = running
    before = len(behind.requests)
    answer = it.raw(data)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert len(behind.requests) == before


def test_what_is_sent_byte_by_byte_for_such_tests_does_arrive(
    running: tuple[Proxy, Servers],
) -> None:
    it, _behind = running
    assert it.raw(b"GET /_matrix/x HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_two_ways_to_tell_a_length_are_one_request(running: tuple[Proxy, Servers]) -> None:
    it, behind = running
    before = len(behind.requests)
    it.raw(
        b"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /_synapse/admin/v1/users HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert not [each for each in behind.requests[before:] if "admin" in each]


def test_a_request_in_the_form_for_proxies_is_passed_on_in_the_usual_form(it: Proxy) -> None:
    answer = it.ask("GET", "http://maple.example/_matrix/client/versions?a=b")
    assert answer.seen[":path"] == "/_matrix/client/versions?a=b"
    assert it.backend_of[answer.server] == "client"


def test_the_largest_body_is_let_through_and_no_larger_one(it: Proxy) -> None:
    path = "/_matrix/media/v3/upload"
    assert it.ask("POST", path, body=b"x" * 102400).status == 200
    answer = it.ask("POST", path, body=b"x" * 102401)
    assert (answer.status, code(answer.text)) == (413, "M_TOO_LARGE")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_who_sends_too_much_is_answered_soon_and_may_send_all_of_it(it: Proxy) -> None:
    """A connection that is reset meanwhile may lose the answer."""
    chunk, chunks = b"x" * 2**16, 200
    head = f"POST /_matrix/x HTTP/1.1\r\nHost: x\r\nContent-Length: {len(chunk) * chunks}\r\n\r\n"
    with socket.create_connection((LOOPBACK, it.port), timeout=PATIENCE) as client:
        client.sendall(head.encode() + chunk)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
        for _ in range(chunks - 1):
            client.sendall(chunk)


@pytest.mark.parametrize(
    ("forwarded", "source"),
    [
        pytest.param(None, LOOPBACK, id="who connects, if nobody says more"),
        pytest.param("198.51.100.1", "198.51.100.1", id="who came past the first proxy"),
        pytest.param("198.51.100.1, 10.0.0.1", "198.51.100.1", id="two proxies"),
        pytest.param(
            "192.0.2.66, 198.51.100.1, 10.0.0.1",
            "198.51.100.1",
            id="what a client says of itself is not believed",
        ),
        pytest.param("2001:db8::1, 10.0.0.1", "2001:db8::1", id="IPv6"),
        pytest.param("nonsense, 10.0.0.1", LOOPBACK, id="no address"),
    ],
)
def test_synapse_is_told_one_address(it: Proxy, forwarded: str | None, source: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    seen = it.ask("GET", "/_matrix/client/versions", headers).seen
    assert seen["x-forwarded-for"] == source


@contextmanager
def limited(program: Path, directory: Path, port: int, **limits: object) -> Iterator[Proxy]:
    found = sample("everything")
    body = with_router(dict(found.body), limits=limits)
    with proxy(program, files(type(found)(found.name, body, found.users)), directory, port) as it:
        yield it


@pytest.mark.parametrize(
    ("limit", "counted", "others"),
    [
        ("login", f"POST {LOGIN}", [("GET", LOGIN), ("POST", REGISTER)]),
        ("registration", f"POST {REGISTER}", [("GET", REGISTER), ("POST", LOGIN)]),
        (
            "initialSync",
            f"GET {SYNC}",
            [("GET", f"{SYNC}?since=s1"), ("GET", "/_matrix/client/versions")],
        ),
    ],
    ids=["logins", "registrations", "first syncs"],
)
def test_a_limit_holds_for_one_client_and_for_nothing_else(
    program: Path, tmp_path: Path, limit: str, counted: str, others: list[tuple[str, str]]
) -> None:
    method, _, path = counted.partition(" ")
    mine = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "2001:db8:1:2::3"}
    # The same network, and a token in the same user's name.
    same = {**mine, "X-Forwarded-For": "2001:db8:1:2::4"}
    theirs = {"Authorization": f"Bearer {TOKEN}x", "X-Forwarded-For": "2001:db8:1:3::3"}
    limits = {limit: {"requests": 3, "periodSeconds": 600}}
    with servers() as behind, limited(program, tmp_path, behind.port, **limits) as it:
        assert [it.ask(method, path, mine).status for _ in range(3)] == [200] * 3
        refused = it.ask(method, path, same)
        assert (refused.status, code(refused.text)) == (429, "M_LIMIT_EXCEEDED")
        assert refused.headers["retry-after"] == "200"
        assert json.loads(refused.text)["retry_after_ms"] == 200_000
        assert it.ask(method, path, theirs).status == 200
        assert [it.ask(*other, mine).status for other in others] == [200, 200]


def test_a_line_of_the_log_tells_where_a_request_went_and_no_secret(
    program: Path, tmp_path: Path
) -> None:
    with (
        servers() as behind,
        proxy(program, files(sample("everything")), tmp_path, behind.port) as it,
    ):
        (address,) = (each for each, name in it.backend_of.items() if name == "sync")
        it.admin(f"add map pods.map {address} maple-front-7d9f-abcde")
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "198.51.100.1, 10.0.0.1"}
        it.ask("GET", f"{SYNC}?since=s1&access_token={TOKEN}", headers)
        line = json.loads(it.lines(1)[0])
    assert {
        name: line[name]
        for name in (
            "source",
            "method",
            "path",
            "class",
            "groups",
            "pod",
            "server",
            "hash",
            "key",
            "status",
        )
    } == {
        "source": "198.51.100.1",
        "method": "GET",
        "path": SYNC,
        "class": "sync",
        "groups": "front",
        "pod": "maple-front-7d9f-abcde",
        "server": "sync/s1",
        "hash": "user",
        "key": "localpart",
        "status": 200,
    }
    assert TOKEN not in json.dumps(line)
    assert "since" not in json.dumps(line)


@pytest.mark.parametrize(
    "path",
    [
        f"/_matrix/client/v3/rooms/{TOKEN}/state",
        "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/opensesame/send",
        "/_matrix/client/unstable/org.matrix.msc4108/rendezvous/opensesame",
        "/_synapse/admin/v1/registration_tokens/opensesame",
        f"/_matrix/client/v3/join/mat_abcdefghijklmnopqrstuvwxyz?access_token={TOKEN}",
    ],
)
def test_what_opens_something_by_itself_is_left_out_of_paths(it: Proxy, path: str) -> None:
    count = len(it._logged())
    it.ask("GET", path, {"Authorization": f"Bearer {TOKEN}"})
    line = it.lines(count + 1)[count]
    assert json.loads(line)["path"].startswith("/_")
    assert [secret for secret in SECRETS if secret in line] == []


def test_without_an_access_log_only_failures_are_written_down(
    program: Path, tmp_path: Path
) -> None:
    with (
        servers() as behind,
        proxy(program, files(sample("authentication-service")), tmp_path, behind.port) as it,
    ):
        assert it.ask("GET", "/_matrix/client/versions").status == 200
        behind.lose = lambda _number: True
        assert it.ask("POST", "/_matrix/x", body=b"").status == 502
        assert [json.loads(line)["status"] for line in it.lines(1)] == [502]


def test_metrics_tell_each_route_class(it: Proxy) -> None:
    it.ask("GET", f"{SYNC}?since=s1")
    with urlopen(f"http://{LOOPBACK}:{it.metrics}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r'haproxy_backend_http_requests_total\{proxy="sync"\} (\d+)', text)
    assert int(found[0]) >= 1
    servers_told = set(re.findall(r'server_status\{proxy="sync",server="(\w+)"', text))
    assert servers_told == {"s1"}, "of slots without a pod there is nothing to tell"
    assert it.ask("GET", "/metrics").status == 404


_PIECES = st.sampled_from(
    [
        "/",
        "..",
        "%2e%2e",
        "%00",
        "%2f",
        "%zz",
        ";",
        "?",
        "&",
        "#",
        "=",
        "_matrix",
        "client",
        "v3",
        "sync",
        "rooms",
        "_synapse",
        "admin",
        "replication",
        "since=",
        "user_id=%40bridge_1%3Amaple.example",
        f"access_token={TOKEN}",
        TOKEN,
        "ä",
        "\\",
        "'",
        '"',
        "<",
        "{",
        "\t",
        "%0d%0a",
        "join",
        "login",
    ]
)
_HEADERS = st.sampled_from(
    [
        ("Authorization", f"Bearer {TOKEN}"),
        ("Authorization", f"bearer  {TOKEN}"),
        ("Authorization", TOKEN),
        ("Authorization", f'X-Matrix origin="{TOKEN}"'),
        ("Authorization", "Bearer"),
        ("Authorization", ","),
        ("X-Forwarded-For", ",,,"),
        ("X-Forwarded-For", "::1, 999.1.1.1"),
        ("Host", ""),
        ("Upgrade", "h2c"),
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("Expect", "100-continue"),
        ("Transfer-Encoding", "chunked, identity"),
        ("Content-Length", "99999999999"),
    ]
)


@settings(
    max_examples=300,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=st.sampled_from(
        ["GET", "POST", "PUT", "OPTIONS", "HEAD", "get", "TRACE", "CONNECT", "A\tB", "ä"]
    ),
    path=st.lists(_PIECES, max_size=10).map("".join),
    headers=st.lists(_HEADERS, max_size=4),
    body=st.sampled_from(
        [b"", b"{}", b"0\r\n\r\n", b"5\r\nGET /_synapse/admin/x HTTP/1.1\r\n\r\n"]
    ),
)
def test_whatever_is_sent_the_router_lives_and_tells_no_secret(
    running: tuple[Proxy, Servers],
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    it, behind = running
    before, size = len(behind.requests), it.log.stat().st_size
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    it.raw(f"{method} /_matrix/{path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + body)
    assert it.process.poll() is None
    assert [
        each for each in behind.requests[before:] if not re.match(r"[A-Z]+ /_matrix/", each)
    ] == []
    written = it.log.read_bytes()[size:].decode(errors="replace")
    assert [secret for secret in SECRETS if secret in written] == []
    for line in written.splitlines():
        if line.startswith("{"):
            json.loads(line)
