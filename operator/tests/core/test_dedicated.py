"""Groups for application services alone, and the paths of the Matrix Authentication Service."""

import re
from typing import Any

import pytest
from tests.core import case
from tests.core.deciding import decide, targets_of
from tests.core.worlds import (
    BRIDGE_SECRET,
    EVERY_CLASS,
    MAS_SECRET,
    REGISTRATION,
    with_bridge,
    with_mas,
)

from homeserver_operator.api.references import ForeignService
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.routes import Target

USER = {"user_id": "@bridge_eve:maple.example"}


def bridged(*serves: str, registration: str = REGISTRATION) -> tuple[Target, ...]:
    secret: case.References = {
        ObjectKey("Secret", "bridge"): {"registration.yaml": registration.encode()}
    }
    return targets_of(with_bridge(EVERY_CLASS, serves=serves), secret)


def named(found: tuple[Target, ...], name: str) -> Target:
    return next(target for target in found if target.route_class.name == name)


@pytest.mark.parametrize(
    ("serves", "path", "query", "expected"),
    [
        pytest.param("client", "/joined_rooms", USER, "for-bridged", id="a user of the bridge"),
        pytest.param("client", "/joined_rooms", {"user_id": "@bridge:maple.example"},
                     "for-bridged", id="the bridge itself, whom its namespace has not"),
        pytest.param("client", "/joined_rooms", {"user_id": "@bridge:maple.example.x"},
                     "client", id="no more than its name"),
        pytest.param("client", "/joined_rooms", {}, "client", id="anybody else"),
        pytest.param("client", "/joined_rooms", {"user_id": "@eve:maple.example"}, "client",
                     id="another user that somebody claims to act for"),
        pytest.param("client", "/joined_rooms", {"user_id": "@bridge_eve:maple-example"}, "client",
                     id="a dot of the namespace is a dot"),
        pytest.param("client", "/sync", {**USER, "since": "s1"}, "sync",
                     id="what the group does not serve"),
        pytest.param("sync", "/sync", USER, "for-bridged", id="first syncs, with all others"),
        pytest.param("initialSync", "/sync", USER, "for-bridged", id="first syncs alone"),
        pytest.param("initialSync", "/sync", {**USER, "since": "s1"}, "sync",
                     id="others are another class then"),
        pytest.param("client", "/rooms/!r:x/typing/@bridge_eve:maple.example", USER, "typing",
                     id="a stream's writer has what it alone can answer"),
    ],
)  # fmt: skip
def test_the_requests_of_a_bridge_go_to_its_group(
    serves: str, path: str, query: dict[str, str], expected: str
) -> None:
    method = "PUT" if "typing" in path else "GET"
    found = decide(bridged(serves), method, f"/_matrix/client/v3{path}", query)
    assert found
    assert found.route_class.name == expected


def test_the_target_of_a_group_of_its_own_says_whose_it_is() -> None:
    target = named(bridged("eventSending"), "for-bridged")
    assert target.groups == ("bridged",)
    assert target.appservices == ("bridge",)
    assert target.route_class.hash_by == "room"
    assert named(bridged("eventSending", "client"), "for-bridged").route_class.hash_by is None
    assert not any(target.claim == "client" for target in bridged("client") if target.appservices)


def test_such_a_group_serves_nobody_else() -> None:
    body = with_bridge(EVERY_CLASS, serves=["client"])
    body["spec"]["workers"] = body["spec"]["workers"][-1:]
    found = targets_of(body, BRIDGE_SECRET)
    assert named(found, "client").is_main


def test_one_that_sleeps_serves_nobody() -> None:
    body = with_bridge(EVERY_CLASS)
    body["spec"]["workers"][-1]["replicas"] = 0
    assert not any(target.appservices for target in targets_of(body, BRIDGE_SECRET))


@pytest.mark.parametrize(
    "pattern",
    [
        "@(?!admin)bridge_.*", "@(?i:bridge)_.*", r"@(a)\\1.*", "@bridge_.*+",
        r"@bridge_.*\\Z", "@(?<=x)bridge.*", "@bridge_.{2000}",
    ],
)  # fmt: skip
def test_what_proxies_cannot_match_is_dropped_and_told(pattern: str) -> None:
    text = re.sub(r'regex: ".*"', lambda _found: f'regex: "{pattern}"', REGISTRATION)
    target = named(bridged("client", registration=text), "for-bridged")
    assert {row.query for row in target.routes} == {("user_id", r"(?:@bridge:maple\.example)")}
    (told,) = target.dropped
    assert "application service bridge" in told
    assert "namespaces.users[0]" in told
    assert pattern not in told, "a registration's content is quoted nowhere"


def test_users_are_found_by_any_of_several_namespaces() -> None:
    text = REGISTRATION + '    - {exclusive: false, regex: "@a_|@b_"}\n'
    found = bridged("client", registration=text)
    for user in ("@bridge_x:maple.example", "@a_x:maple.example", "@b_x:maple.example"):
        target = decide(found, "GET", "/_matrix/client/v3/joined_rooms", {"user_id": user})
        assert target
        assert target.appservices, user


def test_no_token_is_in_a_target_or_its_text() -> None:
    valid = case.Case("maple", with_bridge(EVERY_CLASS), BRIDGE_SECRET).valid
    assert valid.registrations["bridge"].as_token == "word-of-bridge"
    assert "word-of-bridge" not in repr(valid.registrations)
    assert "word-of-bridge" not in repr(bridged("client"))


MAS_PATHS = {
    "/_matrix/client/v3/login": "mas",
    "/_matrix/client/v3/logout": "mas",
    "/_matrix/client/v3/logout/all": "mas",
    "/_matrix/client/r0/refresh": "mas",
    "/_matrix/client/v3/login/sso/redirect": "mas",
    "/_matrix/client/v3/login/sso/redirect/idp": "mas",
    "/_matrix/client/v1/auth_metadata": "client",
    "/_matrix/client/v3/register": "login",
    "/_matrix/client/v3/account/deactivate": None,
    "/_matrix/client/v3/delete_devices": None,
    "/_matrix/client/v3/register/available": None,
    "/_matrix/client/v3/login/cas/ticket": None,
    "/_synapse/mas/query_user": None,
}


@pytest.mark.parametrize("path", MAS_PATHS)
def test_with_the_matrix_authentication_service_a_path_goes_to(path: str) -> None:
    target = decide(targets_of(with_mas(EVERY_CLASS), MAS_SECRET), "POST", path)
    assert (target and target.route_class.name) == MAS_PATHS[path]


def test_its_compatibility_layer_is_a_service_of_the_users() -> None:
    found = named(targets_of(with_mas(EVERY_CLASS), MAS_SECRET), "mas")
    assert found.service == ForeignService("mas", 8080)
    assert found.groups == ()
    assert not found.is_main
    assert not found.has_own_service


def test_without_a_service_it_is_routed_by_its_users() -> None:
    body: dict[str, Any] = with_mas(EVERY_CLASS)
    del body["spec"]["matrixAuthenticationService"]["service"]
    found = targets_of(body, MAS_SECRET)
    assert decide(found, "POST", "/_matrix/client/v3/login") is None
    assert all(target.service is None for target in found)


def test_what_it_asks_of_synapse_is_not_open_to_the_world() -> None:
    built = case.build_all(case.Case("maple", with_mas(EVERY_CLASS), MAS_SECRET))
    opened = [
        path["path"]
        for ingress in built.edge
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    assert opened
    assert not any(re.match(pattern, "/_synapse/mas/query_user") for pattern in opened)
