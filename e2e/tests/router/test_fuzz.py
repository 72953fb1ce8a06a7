"""Whatever is thrown at a router: nothing reaches whom the table does not name, and it lives on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from e2e.product.direct import throw
from e2e.product.kube import eventually
from e2e.product.requests import Request as Answered
from e2e.product.requests import answered
from e2e.product.router import PORT, Access
from e2e.tests.router.fuzzing import FORBIDDEN, Attack, agent_of, attacks, inside_of
from e2e.tests.router.observing import TOKENS
from e2e.tests.router.topology import Routed
from homeserver_operator.api.spec import parse
from homeserver_operator.cli.edge import make_edge
from homeserver_operator.cli.requests import Request, find, parse_request
from homeserver_operator.routes import Target

pytestmark = pytest.mark.cluster

COUNT, SEED = 400, 20
AT_ONCE = 8
PATIENCE = 3.0
LONGEST_LOGGED = 1024
ANY_QUERY = ((), (("since", "s"),), (("full_state", "true"),))


@dataclass(frozen=True)
class Fuzzed:
    """What was thrown, and what routers and processes say that they had.

    `unlogged` is how many lines HAProxy left out of the access log.
    """

    thrown: list[Attack]
    accesses: list[Access]
    answered: list[Answered]
    logs: str
    restarts: dict[str, int]
    table: tuple[Target, ...]
    unlogged: int


@pytest.fixture(scope="module", params=[pytest.param(SEED, id=f"seed {SEED}")])
def fuzzed(standing: Routed, request: pytest.FixtureRequest) -> Iterator[Fuzzed]:
    """One router, after all of it."""
    router, address = min(standing.router.addresses().items())
    token = asyncio.run(_token(standing))
    thrown = attacks(request.param, COUNT, standing.server.host, token)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    unlogged = standing.router.unlogged(router)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = [*pool.map(lambda a: throw(address, a.data, port=PORT, seconds=PATIENCE), thrown)]
    print(f"\n{Counter(reply[9:12].decode(errors='replace') or 'nothing' for reply in replies)}")
    # A last one, well-bred, comes after all others; but who is answered late is logged late.
    last = "192.0.2.9"
    assert standing.ask(address, "GET", "/_matrix/client/versions", last).status == 200
    sources = {last} | {attack.source for attack in thrown if attack.well_formed}
    eventually(
        lambda: (
            sources - {access.source for access in standing.router.access(since)[router]},
            standing.router.unlogged(router) - unlogged,
        ),
        lambda seen: len(seen[0]) <= seen[1],
        what="every well-formed request in the log, but for lines that nobody read in time",
        seconds=60,
    )
    table = make_edge(parse(standing.server.live())).wanted
    yield Fuzzed(
        thrown,
        standing.router.access(since)[router],
        [*answered(standing.server.kube, since, homeserver=standing.server.name)],
        "\n".join(
            line
            for container in ("haproxy", "agent")
            for lines in standing.router.logs(container).values()
            for line in lines
        ),
        standing.router.restarts(),
        table,
        standing.router.unlogged(router) - unlogged,
    )
    assert token not in {"", "None"}


async def _token(routed: Routed) -> str:
    async with routed.person("fuzz") as user:
        return user.token


def _named(table: tuple[Target, ...], request: Request) -> tuple[str, str]:
    """Route class and groups that the table names."""
    found = find(table, request)
    if found is None:
        return "main", "main"
    target, _ = found
    return ("main" if target.is_main else target.route_class.name), ",".join(target.groups)


def _expected(fuzzed: Fuzzed, access: Access, attack: Attack | None) -> set[tuple[str, str]]:
    """Exactly one for what is well-formed; else what the logged path may mean."""
    if attack is not None and attack.well_formed:
        target = f"{attack.path}?{attack.query}" if attack.query else attack.path
        return {_named(fuzzed.table, parse_request(f"{attack.method} {target}"))}
    path = urlsplit(access.path).path if access.path.startswith("http") else access.path
    return {_named(fuzzed.table, Request(access.method, path, query)) for query in ANY_QUERY}


def test_every_request_goes_where_the_table_says(fuzzed: Fuzzed) -> None:
    by_source = {attack.source: attack for attack in fuzzed.thrown}
    wrong, routed = [], 0
    for access in fuzzed.accesses:
        attack = by_source.get(access.source)
        if not access.routed or len(access.path) >= LONGEST_LOGGED or attack is None:
            continue
        routed += 1
        expected = _expected(fuzzed, access, attack)
        names = {_class(name, groups) for name, groups in expected}
        if (_class(access.route_class, access.groups)) not in names:
            wrong.append(f"{attack.what}: {access.line}, not {expected}")
    assert routed > len(fuzzed.thrown) / 4
    assert not wrong, "\n".join(wrong)


def _class(name: str, groups: str) -> tuple[str, str]:
    """Classes that fall to main may keep their own backends."""
    return ("", "main") if groups == "main" else (name, groups)


def test_every_well_formed_request_is_logged_once(fuzzed: Fuzzed) -> None:
    """HAProxy leaves lines out rather than wait for who reads them, and counts those."""
    times = Counter(access.source for access in fuzzed.accesses)
    formed = [attack for attack in fuzzed.thrown if attack.well_formed]
    assert [a for a in formed if times[a.source] > 1] == []
    missing = [
        f"{attack.what}: {attack.method} {attack.path[:200]}"
        for attack in formed
        if not times[attack.source]
    ]
    assert len(missing) <= fuzzed.unlogged, "\n".join(missing)


def test_processes_answer_what_the_table_leads_to_their_group_and_nothing_else(
    fuzzed: Fuzzed,
) -> None:
    attacks_by_agent = {agent_of(attack.number): attack for attack in fuzzed.thrown}
    wrong, seen = [], 0
    for request in fuzzed.answered:
        attack = attacks_by_agent.get(request.agent)
        if attack is None or not attack.well_formed:
            continue
        seen += 1
        target = f"{attack.path}?{attack.query}" if attack.query else attack.path
        _, groups = _named(fuzzed.table, parse_request(f"{attack.method} {target}"))
        if request.group not in groups.split(","):
            wrong.append(f"{attack.what}: {request}, not {groups}")
    assert seen > len(fuzzed.thrown) / 8
    assert not wrong, "\n".join(wrong)


def test_nothing_that_hides_in_a_request_reaches_a_process(fuzzed: Fuzzed) -> None:
    inside = {agent_of(attack.number, inside=True) for attack in fuzzed.thrown}
    assert [request for request in fuzzed.answered if request.agent in inside] == []
    forbidden = [r for r in fuzzed.answered if r.agent.startswith("fuzz-") and r.path in FORBIDDEN]
    assert forbidden == []
    sources = {inside_of(attack.number) for attack in fuzzed.thrown}
    assert [a.line for a in fuzzed.accesses if a.source in sources and a.routed] == []


def test_what_is_no_http_is_refused_at_the_door(standing: Routed) -> None:
    """HAProxy's parser has no words but its own for that."""
    _, address = min(standing.router.addresses().items())
    for data in (b"G\0T / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n"):
        reply = throw(address, data, port=PORT, seconds=PATIENCE)
        assert reply.split()[1] == b"400"


def test_nobody_has_ended(standing: Routed, fuzzed: Fuzzed) -> None:
    assert {*fuzzed.restarts.values()} == {0}
    settled = eventually(
        lambda: [standing.router.state(pod).get("ready") for pod in standing.router.names()],
        all,
        what="every agent",
        seconds=30,
    )
    assert len(settled) == len(fuzzed.restarts)


def test_no_token_is_in_a_log(fuzzed: Fuzzed) -> None:
    assert fuzzed.logs
    assert TOKENS.findall(fuzzed.logs) == []
