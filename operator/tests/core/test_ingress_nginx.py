"""The dialect of ingress-nginx decides every request as the table does."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.core import case, ownership
from tests.core.deciding import class_of
from tests.core.nginx import Matcher
from tests.core.worlds import EVERY_CLASS

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.world import Object
from homeserver_operator.routes.ingress_nginx import ADMIN_PATHS, MAIN_PATHS
from homeserver_operator.routes.table import ROUTES

PREFIX = "nginx.ingress.kubernetes.io/"


def ingresses(body: Object = EVERY_CLASS) -> list[Object]:
    return list(case.build_all(case.Case("maple", body, {})).edge)


MATCHER = Matcher(ingresses())


def test_every_request_goes_where_the_table_says() -> None:
    """As it is, and with the room and user ids percent-encoded, as clients send them."""
    paths = [path for path in ownership.samples() if path.startswith("/_matrix")]
    encoded = [quote(path, safe="/%.:") for path in paths]
    requests = {*paths, *encoded}
    assert len(requests) >= 500
    wrong = {
        path: (MATCHER.service_of(path), class_of(path))
        for path in requests
        if MATCHER.service_of(path) != f"maple-{class_of(path)}"
    }
    assert wrong == {}


def test_main_catch_all_is_tried_last() -> None:
    """Longest first: were a row shorter than `/_matrix/.*`, main would get its requests."""
    rows = [f"{route.pattern}$" for route in ROUTES]
    for catch_all in MAIN_PATHS + ADMIN_PATHS:
        below = [row for row in rows if row.startswith(catch_all.removesuffix(".*"))]
        assert all(len(row) > len(catch_all) for row in below)
    assert MATCHER.locations[-1][1] == f"maple-{MAIN}"


@pytest.mark.parametrize(
    ("path", "route_class"),
    [
        ("/_matrix/client/v3/rooms/%21r%3Ax/typing/%40a%2Fb%3Ax", "typing"),
        ("/_matrix/client/v3/presence/%40a%2Fb%3Ax/status", "presence"),
        ("/_matrix/client/v3/rooms/%21r%3Ax/receipt/m.read/%24a%2Fb", "receipts"),
        ("/_matrix/client/v3/sendToDevice/m.x/a%2Fb", "to-device"),
        ("/_matrix/client/v3/pushrules/global/room/%21a%2Fb", "push-rules"),
        ("/_matrix/client/unstable/io.element.msc4306/rooms/%21r/thread/%24a%2Fb/subscription",
         "thread-subscriptions"),
    ],
)  # fmt: skip
def test_a_slash_in_an_id_leads_nobody_past_the_writer(path: str, route_class: str) -> None:
    """User ids, and event ids of old rooms, may hold a slash; nginx decodes it before it matches.

    The request then fell to main, which answers 500 once another process writes the stream.
    """
    assert MATCHER.service_of(path) == f"maple-{route_class}"


def test_admin_paths_are_closed_unless_asked_for() -> None:
    admin = "/_synapse/admin/v1/server_version"
    closed: dict[str, Any] = {**EVERY_CLASS, "spec": {**EVERY_CLASS["spec"], "ingress": {}}}
    assert Matcher(ingresses(closed)).service_of(admin) is None
    assert MATCHER.service_of(admin) == f"maple-{MAIN}"


@pytest.mark.parametrize(
    "path", ["/_synapse/replication/register_user/@a:x", "/_synapse/metrics", "/", "/health",
             "/_synapse/replication", "/metrics"],
)  # fmt: skip
def test_what_is_not_for_the_world_is_not_routed(path: str) -> None:
    assert MATCHER.service_of(path) is None


@pytest.mark.parametrize(
    ("route_class", "annotation", "value"),
    [
        pytest.param("sync", "proxy-read-timeout", "600", id="a first sync may take minutes"),
        pytest.param("sync", "upstream-hash-by", "$http_authorization",
                     id="a device's syncs stay on one worker"),
        pytest.param("typing", "service-upstream", "true", id="one process: its Service's address"),
        pytest.param("client", "service-upstream", None, id="several processes: their own"),
        pytest.param("main", "proxy-body-size", "50m", id="the largest body"),
        pytest.param("main", "use-regex", "true", id="paths are regular expressions"),
    ],
)  # fmt: skip
def test_annotations(route_class: str, annotation: str, value: str | None) -> None:
    (found,) = [i for i in ingresses() if i["metadata"]["name"] == f"maple-{route_class}"]
    assert found["metadata"]["annotations"].get(f"{PREFIX}{annotation}") == value


def test_users_annotations_come_before_ours() -> None:
    manifests = case.manifests("ingress-options").edge
    assert {i["metadata"]["annotations"][f"{PREFIX}proxy-body-size"] for i in manifests} == {"5m"}
