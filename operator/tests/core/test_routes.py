"""The route table against what real Synapse serves, and against itself."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core import ownership
from tests.core.synapse_pod import pod
from tests.core.worlds import EVERY_CLASS

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.spec import parse
from homeserver_operator.routes import Target, targets
from homeserver_operator.routes.table import CLASSES, ROUTES, Route
from homeserver_operator.topology import make_topology
from homeserver_runtime import configuration

CLASS = {route_class.name: route_class for route_class in CLASSES}
COMPILED = [(re.compile(route.pattern), route) for route in ROUTES]


def rows(path: str) -> list[Route]:
    return [route for pattern, route in COMPILED if pattern.fullmatch(path)]


def class_of(path: str) -> str:
    """The class that the table gives a path, main for what it does not name."""
    return next((route.route_class for route in rows(path)), MAIN)


@pytest.mark.parametrize("path", ownership.samples())
def test_who_gets_a_request_can_answer_it(path: str) -> None:
    """An Ingress cannot tell methods apart, so all methods of a path must be served there."""
    route_class = class_of(path)
    answering = ownership.answering(path)
    if route_class != MAIN:
        assert all(servlet.worker or servlet.stream for servlet in answering)
        assert all(servlet.media for servlet in answering) or route_class != "media"
    if route_class != "media":
        assert not all(s.media for s in answering) or path.startswith("/_synapse/")
    for stream in {servlet.stream for servlet in answering if servlet.stream}:
        assert CLASS[route_class].stream == stream


def test_every_row_is_reached_by_a_real_servlet() -> None:
    """A row that no request reaches is a mistake, like the document's `keys/upload/`."""
    reached = {route for path in ownership.samples() for route in rows(path)}
    assert [route for route in ROUTES if route not in reached] == []


def test_every_class_has_rows_and_every_row_a_class() -> None:
    assert {route.route_class for route in ROUTES} == set(CLASS)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path)
        for path in [
            "/_matrix/client/v3/rooms/!r:x/forget",
            "/_matrix/client/v3/rooms/!r:x/report/$e",
            "/_matrix/client/v3/rooms/!r:x/upgrade",
            "/_matrix/client/v3/logout",
            "/_matrix/client/v3/logout/all",
            "/_matrix/client/v3/refresh",
            "/_matrix/client/v3/account/password",
            "/_matrix/client/v3/account/3pid/add",
            "/_matrix/client/v3/register/email/requestToken",
            "/_matrix/client/v3/pushers",
            "/_matrix/client/v3/user/@u:x/openid/request_token",
            "/_matrix/client/v3/login/sso/redirect/idp",
            "/_matrix/client/v1/login/get_token",
            "/_matrix/client/v3/directory/list/room/!r:x",
            "/_synapse/admin/v1/server_version",
            "/_synapse/client/pick_idp",
            "/.well-known/matrix/client",
        ]
    ],
)
def test_main_keeps(path: str) -> None:
    assert class_of(path) == MAIN


HOSTILE = [
    "typing", "tags", "state", "send", "sync", "receipt", "messages", "account_data",
    "m.room.name", "%21room%3Aexample.org", "!room:example.org", "%2F", "%2e%2e", "$", "@u:x",
    "rooms", "read_markers", "keys", "join", "initialSync", "media", "æ", "-",
]  # fmt: skip
"""What users may choose: words of other rows, encoded and plain ids."""

_TAIL = "(?:" + "|".join(map(re.escape, HOSTILE)) + ")"


def generated_path(route: Route) -> st.SearchStrategy[str]:
    """Paths of one row with what users choose set to words of other rows."""
    pattern = route.pattern.replace("[^/]*", f"{_TAIL}?").replace("[^/]+", _TAIL)
    pattern = pattern.replace(".*", ".+").replace(".+", f"({_TAIL}/){{0,2}}{_TAIL}")
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)


@given(st.sampled_from(ROUTES).flatmap(lambda r: st.tuples(st.just(r), generated_path(r))))
def test_what_users_choose_never_decides_the_route(row_and_path: tuple[Route, str]) -> None:
    row, path = row_and_path
    assert rows(path) == [row]


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.pattern)
def test_a_row_ends_at_the_segment(row: Route) -> None:
    sample = next(path for path in ownership.samples() if rows(path) == [row])
    assert rows(f"/prefix{sample}") == []
    assert rows(f"{sample}x") in ([], [row])


def target_of(body: dict[str, object], name: str) -> Target:
    found = targets(make_topology(parse(body)))
    return next(target for target in found if target.route_class.name == name)


def body_of(*groups: dict[str, object]) -> dict[str, object]:
    return {
        "metadata": {"namespace": "n", "name": "oak"},
        "spec": {"serverName": "oak.example", "workers": list(groups)},
    }


@pytest.mark.parametrize(
    ("groups", "route_class", "expected"),
    [
        pytest.param([], "sync", ("main",), id="nobody serves it: main"),
        pytest.param([{"name": "a", "serves": ["sync"]}], "sync", ("a",), id="one group"),
        pytest.param(
            [{"name": "b", "serves": ["sync"]}, {"name": "a", "serves": ["sync"]}],
            "sync", ("a", "b"), id="two groups share it",
        ),
        pytest.param(
            [{"name": "a", "serves": ["accountData"]}, {"name": "w", "writes": ["accountData"]}],
            "account-data", ("w",), id="a stream's writer comes before those who only serve",
        ),
        pytest.param(
            [{"name": "w", "replicas": 2, "writes": ["receipts"]}], "receipts", ("w",),
            id="all writers of a stream",
        ),
        pytest.param(
            [{"name": "w", "replicas": 0, "writes": ["typing"]}], "typing", ("main",),
            id="a writer of no replicas writes nothing",
        ),
        pytest.param(
            [{"name": "a", "replicas": 0, "serves": ["sync"]}], "sync", ("main",),
            id="a group of no replicas serves nothing",
        ),
        pytest.param(
            [{"name": "a", "replicas": 0, "serves": ["sync"]}, {"name": "b", "serves": ["sync"]}],
            "sync", ("a", "b"),
            id="one of several may sleep: their pods' labels, and so the pods, stay as they are",
        ),
    ],
)  # fmt: skip
def test_a_class_goes_to(
    groups: list[dict[str, object]], route_class: str, expected: tuple[str, ...]
) -> None:
    assert target_of(body_of(*groups), route_class).groups == expected


@pytest.mark.parametrize(
    ("group", "single"),
    [
        ({"name": "a", "serves": ["sync"]}, False),
        ({"name": "a", "serves": ["sync"], "runs": ["pusher"]}, True),
        ({"name": "a", "serves": ["sync"], "runs": ["pusher"], "replicas": 2}, False),
    ],
    ids=["who may be scaled is several", "one named process", "two named processes"],
)
def test_one_process_behind_a_class(group: dict[str, object], single: bool) -> None:
    assert target_of(body_of(group), "sync").single is single


def test_main_keeps_the_media_of_a_group_of_no_replicas() -> None:
    """It was nowhere: the sleeping group counted as the media repository."""
    body = body_of({"name": "a", "replicas": 0, "serves": ["media"]})
    assert make_topology(parse(body)).main.media_repository
    assert target_of(body, "media").groups == (MAIN,)


def test_every_path_that_goes_to_a_worker_is_in_the_map_that_synapse_makes_of_itself() -> None:
    """The one list that follows the installed version; it knows client paths only."""
    listed = [re.compile(pattern) for pattern in workers_map()]
    assert len(listed) > 100
    missing = [
        path
        for path in ownership.samples()
        if class_of(path) not in {MAIN, "media", "push-rules"}
        if not path.startswith(("/_matrix/federation", "/_matrix/key"))
        if not any(pattern.match(path) for pattern in listed)
    ]
    assert missing == []


def workers_map() -> list[str]:
    """What Synapse's script prints for a worker: it builds one, here on an empty database."""
    with pod("single-generic-worker", "clover") as (launch, paths):
        settings = configuration.assemble(launch, paths) | {
            "database": {"name": "sqlite3", "args": {"database": ":memory:"}},
            "experimental_features": {"msc4306_enabled": True},
        }
        file = configuration.write_finished(settings, paths)
        printed = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "synapse._scripts.generate_workers_map",
             "--config-path", str(file)],
            check=True, capture_output=True, text=True, cwd=file.parent,
        ).stdout  # fmt: skip
    return [line for line in printed.splitlines() if line.startswith("^")]


def test_the_table_is_tried_with_all_of_it_in_use() -> None:
    """The topology of the dialects' tests gives every class to a worker."""
    found = targets(make_topology(parse(EVERY_CLASS)))
    assert not [target for target in found if target.is_main]
