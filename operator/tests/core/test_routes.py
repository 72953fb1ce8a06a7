"""The route table against itself, and its reading for a homeserver."""

import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core import ownership
from tests.core.case import as_stored
from tests.core.deciding import class_of, decide, holds, on_path, targets_of
from tests.core.worlds import BRIDGE_SECRET, EVERY_CLASS, with_bridge

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.roles import STREAMS
from homeserver_operator.api.spec import parse
from homeserver_operator.routes import Target, shared_claims
from homeserver_operator.routes.classes import CLASSES, MAS
from homeserver_operator.routes.table import ROUTES, Route
from homeserver_operator.topology import make_topology

ROWS = {
    logins: [row for row in ROUTES if row.only in {None, logins}] for logins in ("synapse", "mas")
}
"""The rows that are there together."""


def test_every_class_has_rows_and_every_row_a_class() -> None:
    assert {route.route_class for route in ROUTES} == {each.name for each in (*CLASSES, MAS)}


def test_classes_that_follow_another_follow_one_that_groups_claim() -> None:
    claimed = {each.name for each in CLASSES if each.serves}
    assert {each.otherwise for each in CLASSES if each.otherwise} <= claimed


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
            "/_matrix/client/v1/login/get_token",
            "/_matrix/client/v3/directory/list/room/!r:x",
            "/_synapse/admin/v1/server_version",
            "/_synapse/client/password_reset/email/submit_token",
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


QUERIES = [
    {}, {"since": ""}, {"since": "s1"}, {"full_state": "true"}, {"full_state": "false"},
    {"since": "s1", "full_state": "true"}, {"from": "x"}, {"user_id": "@bridge_a:maple.example"},
]  # fmt: skip


WITH_BRIDGE = targets_of(with_bridge(EVERY_CLASS), BRIDGE_SECRET)


of_every_row = pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.pattern)
few = settings(max_examples=12)


@of_every_row
@few
@given(st.data())
def test_what_users_choose_never_decides_the_route(row: Route, data: st.DataObject) -> None:
    """One pattern takes the path, with one wide row at most; narrow rows that hold agree."""
    path = data.draw(generated_path(row))
    rows = on_path(path, ROWS[row.only or "synapse"])
    assert row in rows
    assert {found.pattern for found in rows} == {row.pattern}
    assert len([found for found in rows if not found.narrow]) <= 1
    for method, query in product(ownership.METHODS, QUERIES):
        holding = [found for found in rows if found.narrow and holds(found, method, query)]
        assert len({found.route_class for found in holding}) <= 1


@of_every_row
@few
@given(st.data())
def test_only_users_of_an_application_service_are_led_past_the_table(
    row: Route, data: st.DataObject
) -> None:
    path = data.draw(generated_path(row))
    others = [target for target in WITH_BRIDGE if not target.appservices]
    for method, query in product(ownership.METHODS, QUERIES):
        found = decide(WITH_BRIDGE, method, path, query)
        if found and found.appservices:
            assert query.get("user_id", "").startswith("@bridge_")
        else:
            assert found == decide(others, method, path, query)


@of_every_row
def test_a_row_ends_at_the_segment(row: Route) -> None:
    path = next((p for p in ownership.samples() if re.fullmatch(row.pattern, p)), None)
    if path is None:
        assert "saml2" in row.pattern or row.only == "mas"
        return
    rows = ROWS[row.only or "synapse"]
    assert on_path(f"/prefix{path}", rows) == []
    assert {found.pattern for found in on_path(f"{path}x", rows)} <= {row.pattern}


def target_of(body: dict[str, Any], name: str) -> Target:
    return next(target for target in targets_of(body) if target.route_class.name == name)


def body_of(*groups: dict[str, Any], **spec: object) -> dict[str, Any]:
    spec |= {"serverName": "oak.example", "workers": list(groups)}
    return as_stored({"metadata": {"name": "oak"}, "spec": spec})


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
        pytest.param(
            [{"name": "a", "serves": ["sync"]}], "initial-sync", ("a",),
            id="first syncs that nobody serves go to who serves the others",
        ),
        pytest.param(
            [{"name": "a", "serves": ["sync"]}, {"name": "b", "serves": ["initialSync"]}],
            "initial-sync", ("b",), id="first syncs of a group of their own",
        ),
        pytest.param(
            [{"name": "a", "serves": ["client"]}, {"name": "b", "serves": ["encryption"]}],
            "devices", ("a",), id="without a writer of device lists, devices are like the rest",
        ),
        pytest.param(
            [{"name": "a", "serves": ["client"]}, {"name": "b", "serves": ["encryption"]}],
            "device-keys", ("b",), id="and their keys like other keys",
        ),
        pytest.param(
            [{"name": "a", "serves": ["client"]}, {"name": "w", "writes": ["deviceLists"]}],
            "devices", ("w",), id="with one, its writer has devices",
        ),
        pytest.param(
            [{"name": "a", "serves": ["sso"]}], "sso", ("a",), id="one process has SSO",
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
        ({"name": "a", "serves": ["sync", "sso"]}, True),
    ],
    ids=[
        "who may be scaled is several",
        "one named process",
        "two named processes",
        "who serves SSO is one process for good",
    ],
)
def test_one_process_behind_a_class(group: dict[str, object], single: bool) -> None:
    assert target_of(body_of(group), "sync").single is single


def test_main_keeps_the_media_of_a_group_of_no_replicas() -> None:
    """It was nowhere: the sleeping group counted as the media repository."""
    body = body_of({"name": "a", "replicas": 0, "serves": ["media"]})
    assert make_topology(parse(body)).main.media_repository
    assert target_of(body, "media").groups == (MAIN,)


@pytest.mark.parametrize(
    ("method", "path", "query", "route_class"),
    [
        pytest.param("GET", "/_matrix/client/v3/sync", {}, "initial-sync", id="a first sync"),
        pytest.param("GET", "/_matrix/client/v3/sync", {"since": ""}, "initial-sync",
                     id="an empty token is none, as in the document's example"),
        pytest.param("GET", "/_matrix/client/v3/sync", {"since": "s1"}, "sync", id="any other"),
        pytest.param("GET", "/_matrix/client/v3/sync", {"since": "s1", "full_state": "true"},
                     "initial-sync", id="one that asks for everything again"),
        pytest.param("GET", "/_matrix/client/v3/events", {}, "sync", id="events start at now"),
        pytest.param("GET", "/_matrix/client/v3/pushrules/global/", {}, "client",
                     id="anybody reads push rules"),
        pytest.param("HEAD", "/_matrix/client/v3/pushrules/global/", {}, "client",
                     id="and asks for their head"),
        pytest.param("PUT", "/_matrix/client/v3/pushrules/global/override/x", {}, "push-rules",
                     id="their writer writes them"),
        pytest.param("GET", "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/x", {},
                     "client", id="anybody reads a delayed event"),
        pytest.param("POST", "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/x", {},
                     None, id="main sends it"),
        pytest.param("GET", "/_synapse/admin/v2/users/@a:x", {}, "client", id="admins read users"),
        pytest.param("PUT", "/_synapse/admin/v2/users/@a:x", {}, None, id="main makes them"),
        pytest.param("GET", "/_synapse/admin/v1/room/!r:x/media", {}, "media",
                     id="media of a room, though main could tell them, too"),
    ],
)  # fmt: skip
def test_a_request_goes_to(
    method: str, path: str, query: dict[str, str], route_class: str | None
) -> None:
    found = decide(targets_of(EVERY_CLASS), method, path, query)
    assert (found and found.route_class.name) == route_class


def test_admin_rows_are_there_only_where_the_admin_api_is_open() -> None:
    body = body_of({"name": "a", "serves": ["client"]})
    assert not any(row.admin for target in targets_of(body) for row in target.routes)
    body = body_of({"name": "a", "serves": ["client"]}, ingress={"adminApi": True})
    assert any(row.admin for target in targets_of(body) for row in target.routes)


def test_what_is_sent_again_is_what_a_second_time_does_not_do_twice() -> None:
    """GET and HEAD go without saying. Never a login, a registration or a new room."""
    again = {(method, row.pattern) for row in ROUTES for method in row.replay}
    assert {method for method, _pattern in again} <= {"POST", "PUT", "DELETE"}
    for method, path, expected in [
        ("PUT", "/_matrix/client/v3/rooms/!r:x/send/m.room.message/1", True),
        ("POST", "/_matrix/client/v3/rooms/!r:x/send/m.room.message", False),
        ("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", True),
        ("POST", "/_matrix/client/v3/keys/query", True),
        ("POST", "/_matrix/client/v3/keys/claim", False),
        ("PUT", "/_matrix/client/v3/sendToDevice/m.x/1", False),
        ("PUT", "/_matrix/federation/v1/send/1", True),
        ("POST", "/_matrix/client/v3/login", False),
        ("POST", "/_matrix/client/v3/register", False),
        ("POST", "/_matrix/client/v3/createRoom", False),
        ("POST", "/_matrix/media/v3/upload", False),
    ]:
        (row,) = [found for found in on_path(path, ROWS["synapse"]) if not found.narrow]
        assert (method in row.replay) is expected, path


def test_pods_are_labelled_by_what_their_groups_claim_and_not_by_what_follows() -> None:
    """A class that a new version adds must not restart those who will serve it."""
    groups = [{"name": name, "serves": ["client", "sync"]} for name in ("a", "b")]
    shared = shared_claims(targets_of(body_of(*groups)))
    assert shared == {"client": ("a", "b"), "sync": ("a", "b")}


def test_the_table_is_tried_with_all_of_it_in_use() -> None:
    """The topology of the dialects' tests gives every class to a worker."""
    found = [target for target in targets_of(EVERY_CLASS) if target.is_main]
    assert [each for each in found if each.route_class.stream in STREAMS] == []
    assert [each for each in found if each.route_class.stream is None] == []
