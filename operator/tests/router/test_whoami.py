"""Whose an opaque token is, the homeserver says: one worker for a user, one group for a bridge."""

import base64
import json
from collections import Counter
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from tests.core.requests import Request
from tests.router.asked import BOT, CAPABILITIES, SYNC, asking, bearer
from tests.router.evaluator import Evaluator
from tests.router.rig import LOOPBACK
from tests.router.samples import files, sample

apiserver = pytest.mark.apiserver

DEVICES = {
    f"{kind}{user}x{number}": f"@user{user}:maple.example"
    for user in range(40)
    for number, kind in enumerate(("mat_", "mct_", "MDAxOGxvY2F0aW9u"))
}
# All that a name may be made of; and a server's may have a port.
DEVICES |= {f"mat_odd{n}": "@a=b/c+d._-~'^`:maple.example:8448" for n in range(2)}
BRIDGE = {"word-of-bridge": BOT, "word-of-another": "@other:maple.example"}


def synapses(localpart: str) -> str:
    local = base64.b64encode(localpart.encode()).decode().rstrip("=")
    return f"syt_{local}_abcdefghijklmnopqrst_0a1b2c"


@apiserver
def test_a_user_has_one_worker_whatever_the_tokens_in_every_router(
    program: Path, tmp_path: Path
) -> None:
    found: list[dict[str, set[str]]] = []
    for name in ("one", "two"):
        with asking(program, tmp_path / name, DEVICES) as (it, homeserver, _behind):
            workers: dict[str, set[str]] = {user: set() for user in DEVICES.values()}
            for token, user in DEVICES.items():
                workers[user].add(it.ask("GET", SYNC, bearer(token)).server)
                workers[user].add(it.ask("GET", f"{SYNC}&access_token={token}").server)
            for user, servers in workers.items():
                localpart = user[1:].partition(":")[0]
                servers.add(it.ask("GET", SYNC, bearer(synapses(localpart))).server)
                spoken = it.ask("GET", f"{SYNC}&user_id={quote(user)}", bearer("word-of-puppets"))
                servers.add(spoken.server)
            assert len(homeserver.asked) == len(DEVICES), "once for each token"
            found.append(workers)
    assert found[0] == found[1]
    assert [user for user, servers in found[0].items() if len(servers) != 1] == []
    assert len(Counter(server for servers in found[0].values() for server in servers)) == 4


@apiserver
def test_what_a_bridge_asks_in_its_own_name_reaches_its_group(
    program: Path, tmp_path: Path
) -> None:
    with asking(program, tmp_path, BRIDGE) as (it, homeserver, _behind):
        assert it.backend("GET", CAPABILITIES, bearer("word-of-bridge")) == "for-bridged"
        assert it.backend("GET", f"{CAPABILITIES}?access_token=word-of-bridge") == "for-bridged"
        assert it.backend("GET", CAPABILITIES, bearer("word-of-another")) == "client"
        assert it.backend("GET", CAPABILITIES, bearer("word-of-nobody")) == "client"
        assert it.backend("GET", CAPABILITIES) == "client"
        spoken = f"{CAPABILITIES}?user_id=@eve:maple.example"
        assert it.backend("GET", spoken, bearer("word-of-bridge")) == "client"
        # What the group does not serve is nothing to ask about.
        assert it.backend("PUT", "/_matrix/client/v3/rooms/!r:x/typing/@a:x",
                          bearer("word-of-a-third")) == "typing"  # fmt: skip
        words = [each["authorization"] for each in homeserver.asked]
        assert words == [f"Bearer word-of-{who}" for who in ("bridge", "another", "nobody")]


@pytest.mark.parametrize(
    ("whoami", "query", "expected"),
    [
        pytest.param(BOT, "", "for-bridged", id="the bridge itself"),
        pytest.param("@bridge_eve:maple.example", "", "for-bridged", id="a user of the bridge"),
        pytest.param("@eve:maple.example", "", "client", id="anybody else"),
        pytest.param(None, "", "client", id="nobody knows"),
        pytest.param(BOT, "user_id=@eve:maple.example", "client", id="whom it speaks for decides"),
        pytest.param(None, "user_id=%40bridge%3Amaple.example", "for-bridged",
                     id="the bridge itself, in so many words"),
        pytest.param(None, "user_id=@bridge:maple.example.x", "client", id="no more than its name"),
    ],
)  # fmt: skip
def test_the_user_found_leads_to_the_group_by_the_rule_of_user_id(
    whoami: str | None, query: str, expected: str
) -> None:
    evaluator = Evaluator(files(sample("whoami")), whoami)
    assert evaluator.facts(Request(CAPABILITIES, query=query)).split(":")[0] == expected


@apiserver
@pytest.mark.parametrize(
    ("method", "target", "token"),
    [
        pytest.param("GET", "/_matrix/client/versions", None, id="no token"),
        pytest.param("GET", SYNC, synapses("alice"), id="a token that names its user"),
        pytest.param("GET", f"{SYNC}&user_id=@a:x", "word", id="a request that names its user"),
        pytest.param("GET", CAPABILITIES, "mat_abc", id="a token that is no bridge's"),
        pytest.param("PUT", "/_matrix/client/v3/profile/@a:x/m.tz", "mct_abc", id="the same again"),
        pytest.param("POST", "/_matrix/client/v3/keys/query", "word", id="a class of nobody's"),
        pytest.param("GET", SYNC, "ab\x01c", id="a token that is none"),
        pytest.param("GET", SYNC, "x" * 3000, id="a token that is too long"),
        pytest.param("GET", f"{SYNC}&access_token=a%0d%0aX-Y:%20z", None,
                     id="a token that would end a line"),
        pytest.param("GET", f"{SYNC}&access_token=a%20b", None, id="a token of two words"),
    ],
)  # fmt: skip
def test_nobody_is_asked_where_the_answer_would_not_matter(
    program: Path, tmp_path: Path, method: str, target: str, token: str | None
) -> None:
    with asking(program, tmp_path, {}) as (it, homeserver, _behind):
        body = b"{}" if method != "GET" else None
        assert it.ask(method, target, bearer(token) if token else None, body).status == 200
        assert homeserver.asked == []
        it.ask("GET", SYNC, bearer("mat_other"))
        assert len(homeserver.asked) == 1, "the router does ask"


@apiserver
def test_synapse_is_told_who_the_client_is_and_from_where(program: Path, tmp_path: Path) -> None:
    more = {"User-Agent": "Element/1.0 (ä)", "X-Forwarded-For": "198.51.100.7"}
    with asking(program, tmp_path, DEVICES) as (it, homeserver, _behind):
        it.ask("GET", SYNC, bearer("mat_0x0", **more))
        (asked,) = homeserver.asked
    assert asked["x-forwarded-for"] == "198.51.100.7"
    assert asked["user-agent"].startswith("Element/1.0 (")
    assert asked["authorization"] == "Bearer mat_0x0"


@apiserver
def test_the_log_says_how_a_user_was_found_and_no_token_and_metrics_count(
    program: Path, tmp_path: Path
) -> None:
    tokens = ("opensesame-1", "opensesame-2", "word-of-bridge")
    users = {"opensesame-1": "@alice:maple.example", "word-of-bridge": BOT}
    with asking(program, tmp_path, users) as (it, homeserver, _behind):
        for token in tokens:
            it.ask("GET", SYNC, bearer(token))
            it.ask("GET", f"{CAPABILITIES}?access_token={token}")
        lines = [json.loads(line) for line in it.lines(6)]
        with urlopen(f"http://{LOOPBACK}:{it.metrics}/metrics") as answer:
            metrics = answer.read().decode()
        text = it.log.read_text()
    assert [(line["class"], line["key"]) for line in lines[:4:2]] == [
        ("sync", "whoami"), ("sync", "token"),
    ]  # fmt: skip
    assert [line["class"] for line in lines[4:]] == ["for-bridged", "for-bridged"]
    assert len(homeserver.asked) == 3
    assert len(lines) == 6
    others = [line for line in text.splitlines() if not line.startswith(("{", "["))]
    assert others == [], "lookups are no requests of anybody's"
    assert [word for word in (*tokens, "alice") if word in text] == []
    counted = 'haproxy_backend_http_responses_total{proxy="whoami",code="2xx"} 2'
    assert counted in metrics
    assert 'haproxy_backend_http_responses_total{proxy="whoami",code="4xx"} 1' in metrics


@apiserver
def test_lookups_have_no_way_in_for_anybody_else(program: Path, tmp_path: Path) -> None:
    with asking(program, tmp_path, {}) as (it, _homeserver, _behind):
        path = it.log.parent / "whoami.sock"
        assert path.is_socket()
        assert path.stat().st_mode & 0o077 == 0
