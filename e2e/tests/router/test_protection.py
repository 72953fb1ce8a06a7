"""What is nobody's business outside is not to be reached, and what is too large is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from e2e.product import direct
from e2e.product.requests import answered
from e2e.product.router import PORT
from e2e.tests.router.topology import Routed

pytestmark = pytest.mark.cluster

UPLOAD = "/_matrix/media/v3/upload"
LARGEST = 50 * 2**20
CHUNK = b"x" * 2**17

CLOSED = (
    "/_synapse/replication/fed_send_edu/x",
    "/_synapse/metrics",
    "/_synapse/admin/v1/server_version",
    "/_synapse/admin/v1/register",
    "/metrics",
    "/health",
    "/state",
    "/",
    "//_synapse/replication/x",
    "/_matrix/../_synapse/replication/x",
    "/%5fsynapse/replication/x",
)


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("way", ["through the Ingress", "at the router itself"])
def test_what_is_for_the_inside_alone_cannot_be_reached(
    routed: Routed, way: str, path: str
) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    agent = f"closed-{abs(hash((way, path, since)))}"
    (router, *_) = routed.router.addresses().values()
    address, port = (router, PORT) if way == "at the router itself" else (routed.ingress, 80)
    for method in ("GET", "POST"):
        reply = direct.ask(
            address, routed.server.host, method, path, {"User-Agent": agent}, port=port
        )
        # A controller may send the client to the path as it should have been.
        assert reply.status in {301, 307, 308, 400, 404, 405}, reply
    # A dot segment within what is open is Synapse's to refuse; all others never come so far.
    if not path.startswith("/_matrix/"):
        seen = answered(routed.server.kube, since, homeserver=routed.server.name)
        assert [request for request in seen if request.agent == agent] == []


def test_metrics_have_no_way_in_from_the_service_of_clients(routed: Routed) -> None:
    service = routed.server.kube.get("service", routed.router.name)
    assert [port["port"] for port in service["spec"]["ports"]] == [PORT]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        pytest.param("through the Ingress", "", id="through the Ingress"),
        pytest.param("at the router itself", "M_TOO_LARGE", id="at the router itself"),
    ],
)
def test_a_body_that_is_too_large_is_refused(routed: Routed, way: str, words: str) -> None:
    (router, *_) = routed.router.addresses().values()
    outside = way == "through the Ingress"
    # The router refuses by what the client claims; a controller may have to read all of it.
    body = b"x" * (LARGEST + 1) if outside else CHUNK
    reply = direct.ask(
        routed.ingress if outside else router,
        routed.server.host,
        "POST",
        UPLOAD,
        port=80 if outside else PORT,
        body=body,
        claims=LARGEST + 1,
    )
    assert reply.status == 413
    if words:
        assert json.loads(reply.text)["errcode"] == words
