"""Of a sync the router knows what Synapse will: whether it is a first one, for whom, and whose."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.router.rig import Proxy, Servers, proxy, servers
from tests.router.samples import files, sample, with_router
from twisted.web.http import parse_qs

SYNC = "/_matrix/client/v3/sync"
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
TOKEN = "syt_YWxpY2U_aBcDeFgHiJkLmNoPqRsT_0a1b2c"
TABLE = "limit.initial-sync"


@dataclass(frozen=True)
class Reading:
    """What decides: the class, and whose first sync is counted, as a digest."""

    route_class: str
    counted: str | None


def synapses(query: str) -> Reading:
    """As Synapse reads it (rest/client/sync.py, http/servlet.py, api/auth/base.py)."""
    # Twisted's Request parts what it was sent at the first one.
    _path, _mark, written = f"{SYNC}?{query}".partition("?")
    parameters = parse_qs(written.encode(), 1)

    def first(name: str) -> bytes:
        return bytes(parameters.get(name.encode(), [b""])[0])

    is_first = not first("since") or first("full_state") == b"true"
    # Namespaces are matched at the start alone.
    bridged = re.match(rb"@bridge_.*:maple\.example|@bridge:maple\.example$", first("user_id"))
    token = first("access_token")
    return Reading(
        "for-bridged" if bridged else "initial-sync" if is_first else "sync",
        hashlib.sha1(token, usedforsecurity=False).hexdigest().upper()
        if is_first and token
        else None,
    )


@pytest.fixture(scope="module")
def running(
    program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, Servers]]:
    found = sample("everything")
    many = {"initialSync": {"requests": 1000000}}
    written = files(
        type(found)(found.name, with_router(dict(found.body), limits=many), found.users)
    )
    directory = tmp_path_factory.mktemp("haproxy")
    with servers() as behind, proxy(program, written, directory, behind.port) as it:
        yield it, behind


def routers(it: Proxy, query: str) -> Reading | None:
    """As the router does; None if it refuses."""
    it.until(lambda: not counted(it, "clear"))
    found = it.backend("GET", f"{SYNC}?{query}")
    return None if found == "400" else Reading(found, counted(it, "show"))


def counted(it: Proxy, command: str) -> str | None:
    said = it.admin(f"{command} table {TABLE}; show table {TABLE}")
    found = re.search(r"key=(\w+)", said)
    return found[1] if found else None


@pytest.mark.haproxy
@pytest.mark.parametrize(
    "query",
    [
        pytest.param("a?since=s1", id="a parameter that is a part of a name"),
        pytest.param("?since=s1", id="a second mark that begins it"),
        pytest.param("filter=x?since=s1", id="a parameter that is a part of a value"),
        pytest.param("%73ince=s1", id="an encoded name"),
        pytest.param("since=s1&full_stat%65=true", id="an encoded name beside a plain one"),
        pytest.param(f"since=s1&full_state=true&%61ccess_token={TOKEN}", id="a token so hidden"),
        pytest.param(f"x;%61ccess_token={TOKEN}", id="an encoded name after a semicolon"),
        pytest.param(f"x?access_token=other&access_token={TOKEN}", id="a token behind another"),
        pytest.param("since=&since=s1", id="an empty one, and another"),
        pytest.param("since=s1&since=", id="one, and an empty one"),
        pytest.param("since=s1&a=b;since=s2", id="two with others between them"),
        pytest.param(f"since=s1&a={'b' * 20000}&since=s2", id="two that are far apart"),
        pytest.param("full_state=false&full_state=true", id="yes and no"),
        pytest.param(f"access_token=a&access_token={TOKEN}", id="two tokens"),
        pytest.param("user_id=@bridge_1:maple.example&user_id=@eve:maple.example", id="two users"),
        pytest.param("since=?x", id="a mark in a value that decides"),
    ],
)
@pytest.mark.parametrize("path", [SYNC, SLIDING], ids=["sync", "sliding sync"])
def test_a_query_that_can_be_read_in_two_ways_is_refused(
    running: tuple[Proxy, Servers], path: str, query: str
) -> None:
    it, behind = running
    before = len(behind.requests)
    answer = it.ask("GET", f"{path}?{query}")
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] == "*"
    said = json.loads(answer.text)
    assert said["errcode"] == "M_INVALID_PARAM"
    assert "once" in said["error"]
    assert len(behind.requests) == before


@pytest.mark.haproxy
@pytest.mark.parametrize(
    "query",
    [
        pytest.param("since=s72594_4483_1934&timeout=30000&set_presence=offline", id="the usual"),
        pytest.param("filter=%7B%22a%22%3A%5B%22%25%26%3F%22%5D%7D&since=s1", id="encoded values"),
        pytest.param("filter=%74rue&full_state=fals%65&since=s%31", id="values encoded needlessly"),
        pytest.param("filter={a?b}&since=s1", id="a mark in a value that decides nothing"),
        pytest.param("filter=a%b+c&since=s1", id="a value that is not encoded properly"),
        pytest.param("org.matrix.msc4222.use_state_after=true&since=s1", id="a name with dots"),
        pytest.param("nosince=1&since_=1&xfull_state=true&filter=1&filter=2", id="other names"),
        pytest.param("since&since=s1&&;", id="names without a value, and nothing at all"),
        pytest.param("a=1;since=s1", id="a semicolon"),
        pytest.param("since=since=s1", id="a name in a value"),
        pytest.param(f"access_token={TOKEN.replace('_', '%5F')}", id="an encoded token"),
        pytest.param(f"access_token={TOKEN}&user_id=%40bridge_1%3Amaple.example", id="a bridge"),
        pytest.param(f"Since=s1&access_token={TOKEN}", id="a name in other letters"),
        pytest.param(f"since=&access_token={TOKEN}", id="an empty one"),
        pytest.param("", id="none"),
    ],
)  # fmt: skip
def test_any_other_is_read_as_synapse_reads_it(running: tuple[Proxy, Servers], query: str) -> None:
    assert routers(running[0], query) == synapses(query)


@pytest.mark.haproxy
def test_where_nothing_is_decided_by_a_query_it_is_passed_on(
    running: tuple[Proxy, Servers],
) -> None:
    it, _behind = running
    for path in ("/_matrix/client/v3/joined_rooms", "/_matrix/client/v3/rooms/!r:x/send/m.x/sync"):
        assert it.ask("GET", f"{path}?a?since=1&%61=b&since=1").status == 200


_USUAL = st.sampled_from(
    ("since=s1", "since=", "full_state=true", "full_state=%74rue", "full_state=false",
     f"access_token={TOKEN}", f"access_token={TOKEN.replace('_', '%5F')}", "access_token=other",
     "user_id=@bridge_1:maple.example", "user_id=%40bridge_1%3Amaple.example", "user_id=@eve:x",
     "filter=a?b", "filter=%7B%3F%26since%3Ds1%7D")
)  # fmt: skip
_UNUSUAL = st.tuples(
    st.sampled_from(
        ("since", "s%69nce", "full%5fstate", "access_toke%6E", "u%73er_id", "xsince", "since+",
         "%26since", "")
    ),
    st.sampled_from(("=", "==", "")),
    st.sampled_from(("", "s1", "true", "+", "%3F", "%00", TOKEN, "?", "'", "\\")),
).map("".join)  # fmt: skip
_MARKS = st.sampled_from(("&", "&", "&", "&", ";", "?", "=", "&&", ""))
_QUERIES = st.one_of(
    st.lists(_USUAL, max_size=5, unique_by=lambda each: each.split("=")[0]).map("&".join),
    st.lists(st.tuples(st.one_of(_USUAL, _USUAL, _UNUSUAL), _MARKS).map("".join), max_size=5).map(
        "".join
    ),
)


@pytest.mark.haproxy
@settings(
    max_examples=400,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(_QUERIES)
@example(f"a?access_token=x;access_token={TOKEN}")
def test_whatever_is_asked_is_refused_or_read_as_synapse_reads_it(
    running: tuple[Proxy, Servers], query: str
) -> None:
    assert routers(running[0], query) in {None, synapses(query)}
