"""The objects that lead traffic in: annotations, certificates, hosts, bounds of their kinds."""

import dataclasses
from typing import Any

import pytest
from tests.core import case, dialects
from tests.core.deciding import targets_of
from tests.core.dialects import HOST, client_services
from tests.core.matchers.nginx import NginxMatcher
from tests.core.requests import Request, corpus
from tests.core.worlds import EVERY_CLASS, usual

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.references import ForeignService
from homeserver_operator.api.router import Router
from homeserver_operator.api.spec import parse
from homeserver_operator.api.world import Object
from homeserver_operator.build.edge import build_edge, edge_reductions
from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects import CAPABILITIES, gateway_api
from homeserver_operator.routes.exposure import delegated_to
from homeserver_operator.routes.table import Route

EVERYONE = dialects.everyone()
CONTROLLERS = sorted(CAPABILITIES)

every_controller = pytest.mark.parametrize("controller", CONTROLLERS)


def edge(controller: str, **ingress: Any) -> dict[str, Object]:
    server = dialects.server(controller, **ingress)
    return {each["metadata"]["name"]: each for each in build_edge(server, EVERYONE)}


def annotations(found: Object) -> dict[str, str]:
    return dict(found["metadata"].get("annotations", {}))


NGINX, TRAEFIK = "nginx.ingress.kubernetes.io/", "traefik.ingress.kubernetes.io/"
HAPROXY = "haproxy-ingress.github.io/"


@pytest.mark.parametrize(
    ("controller", "route_class", "annotation", "value"),
    [
        pytest.param(controller, route_class, annotation, value, id=f"{controller}: {sentence}")
        for controller, route_class, annotation, value, sentence in [
            ("ingress-nginx", "sync", f"{NGINX}proxy-read-timeout", "600",
             "a first sync may take minutes"),
            ("ingress-nginx", "sync", f"{NGINX}upstream-hash-by", "$http_authorization",
             "a device's syncs stay on one worker"),
            ("ingress-nginx", "typing", f"{NGINX}service-upstream", "true",
             "one process: its Service's address"),
            ("ingress-nginx", "client", f"{NGINX}service-upstream", None,
             "several processes: their own"),
            ("ingress-nginx", "main", f"{NGINX}proxy-body-size", "50m", "the largest body"),
            ("ingress-nginx", "main", f"{NGINX}use-regex", "true", "paths are expressions"),
            ("haproxy-ingress", "sync", f"{HAPROXY}timeout-server", "600s",
             "a first sync may take minutes"),
            ("haproxy-ingress", "sync", f"{HAPROXY}balance-algorithm", "hdr(Authorization)",
             "a device's syncs stay on one worker"),
            ("haproxy-ingress", "event-sending", f"{HAPROXY}balance-algorithm", None,
             "it knows no rooms"),
            ("haproxy-ingress", "typing", f"{HAPROXY}service-upstream", "true",
             "one process: its Service's address"),
            ("haproxy-ingress", "main", f"{HAPROXY}proxy-body-size", "50m", "the largest body"),
            ("traefik", "typing", f"{TRAEFIK}router.pathmatcher", "PathRegexp",
             "paths are expressions"),
            ("traefik", "typing", f"{TRAEFIK}router.priority", "2000", "workers come first"),
            ("traefik", "main", f"{TRAEFIK}router.priority", "1000", "main comes last"),
            ("traefik", "main", f"{TRAEFIK}router.tls", None, "no certificate, no TLS"),
            ("traefik-crd", "main", "kubernetes.io/ingress.class", None, "any Traefik"),
        ]
    ],
)  # fmt: skip
def test_an_object_has_the_annotation(
    controller: str, route_class: str, annotation: str, value: str | None
) -> None:
    assert annotations(edge(controller)[f"maple-{route_class}"]).get(annotation) == value


def test_users_annotations_come_before_ours() -> None:
    manifests = case.manifests("ingress-options").edge
    assert {annotations(each)[f"{NGINX}proxy-body-size"] for each in manifests} == {"5m"}


def test_no_limit_is_said_in_each_controllers_words() -> None:
    assert annotations(edge("ingress-nginx", maxBodySize="0")["maple-main"])[
        f"{NGINX}proxy-body-size"] == "0"  # fmt: skip
    assert annotations(edge("haproxy-ingress", maxBodySize="0")["maple-main"])[
        f"{HAPROXY}proxy-body-size"] == "unlimited"  # fmt: skip


def test_traefik_goes_to_the_address_of_a_service_of_one_process() -> None:
    server = dialects.server("traefik")
    wanted = {f"{TRAEFIK}service.nativelb": "true"}
    services = client_services(server, EVERYONE)
    assert annotations(services["main"]) == wanted
    for target in EVERYONE:
        if target.has_own_service:
            found = annotations(services[target.route_class.name])
            assert found == (wanted if target.single else {})
    other = dialects.server("ingress-nginx")
    assert annotations(client_services(other, EVERYONE)["main"]) == {}


def test_an_ingress_route_goes_to_the_address_of_a_service_of_one_process() -> None:
    native = {
        name: {s.get("nativeLB", False) for r in route["spec"]["routes"] for s in r["services"]}
        for name, route in edge("traefik-crd").items()
    }
    single = {
        f"maple-{target.route_class.name}": {target.single}
        for target in EVERYONE
        if not target.is_main
    }
    assert native == single | {"maple-main": {True}}


def test_certificates_are_asked_for_once_a_host() -> None:
    """Several objects that ask for one Secret make Certificates fight over it."""
    found = edge(
        "ingress-nginx",
        tls={"secretName": "one", "certManager": {"issuerName": "letters"}},
        federation={"host": "f.example", "tls": {"secretName": "two"}},
        wellKnown={"tls": {"secretName": "three"}},
        host="chat.example",
        annotations={"acme.cert-manager.io/http01-edit-in-place": "true",
                     "venafi.cert-manager.io/custom-fields": "[]", "kubernetes.io/tls-acme": "true",
                     "external-dns.alpha.kubernetes.io/ttl": "60"},
    )  # fmt: skip
    asking = {name for name, each in found.items() if "cert-manager" in str(annotations(each))}
    assert asking == {"maple-main", "maple-main-federation", "maple-main-well-known"}
    for name, each in found.items():
        own = annotations(each)
        assert own["external-dns.alpha.kubernetes.io/ttl"] == "60"
        asks = {key for key in own if "cert-manager.io/" in key or key.endswith("/tls-acme")}
        assert len(asks) == (4 if name in asking else 0)
    assert annotations(found["maple-main"])["cert-manager.io/issuer"] == "letters"
    secrets = {found[name]["spec"]["tls"][0]["secretName"] for name in asking}
    assert secrets == {"one", "two", "three"}


def test_nobody_asks_for_a_certificate_of_a_host_without_tls() -> None:
    found = edge("ingress-nginx", annotations={"cert-manager.io/issuer": "letters"})
    assert not [name for name, each in found.items() if "cert-manager" in str(annotations(each))]


@pytest.mark.parametrize("controller", ["traefik", "traefik-crd"])
def test_with_a_certificate_traefik_speaks_tls_alone(controller: str) -> None:
    found = edge(controller, tls={"secretName": "one"})
    for each in found.values():
        if controller == "traefik":
            assert annotations(each)[f"{TRAEFIK}router.tls"] == "true"
        else:
            assert each["spec"]["tls"] == {"secretName": "one"}


def with_router(controller: str, **ingress: Any) -> list[Object]:
    server = dataclasses.replace(dialects.server(controller, **ingress), router=Router())
    return list(build_edge(server, EVERYONE))


CLOSED = (
    "/",
    "/health",
    "/metrics",
    "/_synapse/replication/x",
    "/_synapse/metrics",
    "/_matrixes/x",
)


@pytest.mark.parametrize("name", dialects.READERS)
def test_all_that_is_open_leads_to_the_router_and_nothing_else(name: str) -> None:
    reader = dialects.READERS[name]
    found = with_router(reader.controller)
    matcher = reader.matcher(found, HOST)
    assert {matcher.service_of(request) for request in corpus(EVERYONE)} == {"maple-router"}
    # Traefik's prefixes end within a segment; the router answers 404 to these itself.
    closed = CLOSED[:-1] if reader.controller == "traefik" else CLOSED
    assert {matcher.service_of(Request(path)) for path in closed} == {None}


@pytest.mark.parametrize("name", dialects.READERS)
def test_everything_leads_somewhere_while_classes_go_one_by_one(name: str) -> None:
    """Each object changes in a write of its own: those of the classes come and go beside main's."""
    reader = dialects.READERS[name]
    before = build_edge(dialects.server(reader.controller), EVERYONE)
    by_name = {each["metadata"]["name"]: each for each in before}
    by_name |= {each["metadata"]["name"]: each for each in with_router(reader.controller)}
    requests = corpus(EVERYONE)[::7]
    while len(by_name) > 1:
        matcher = reader.matcher(by_name.values(), HOST)
        assert None not in {matcher.service_of(request) for request in requests}
        # As many as make the test short.
        for gone in [each for each in by_name if each != "maple-main"][:4]:
            del by_name[gone]


@pytest.mark.parametrize(
    ("controller", "annotation", "value"),
    [
        ("ingress-nginx", f"{NGINX}proxy-read-timeout", "625"),
        ("ingress-nginx", f"{NGINX}proxy-body-size", "50m"),
        ("ingress-nginx", f"{NGINX}use-regex", None),
        ("ingress-nginx", f"{NGINX}service-upstream", None),
        ("haproxy-ingress", f"{HAPROXY}timeout-server", "625s"),
        ("haproxy-ingress", f"{HAPROXY}path-type", None),
        ("traefik", f"{TRAEFIK}router.priority", "1000"),
        ("traefik", f"{TRAEFIK}router.pathmatcher", None),
    ],
)
def test_before_the_router_an_object_has_the_annotation(
    controller: str, annotation: str, value: str | None
) -> None:
    """The longest answer, and before it as long as a request may be held."""
    (found,) = with_router(controller)
    assert annotations(found).get(annotation) == value


@every_controller
def test_before_the_router_pods_are_dialled_because_it_has_several(controller: str) -> None:
    (found,) = with_router(controller)
    assert "nativeLB" not in str(found)


@every_controller
def test_the_certificate_of_a_host_stays_with_its_object(controller: str) -> None:
    """Made anew under another name, cert-manager would take it for somebody else's."""
    tls: dict[str, Any] = {} if controller == "gateway-api" else {"tls": {"secretName": "one"}}
    before = edge(controller, **tls)["maple-main"]
    (found,) = with_router(controller, **tls)
    assert found["metadata"]["name"] == "maple-main"
    assert found["spec"].get("tls") == before["spec"].get("tls")
    entry_point = f"{TRAEFIK}router.tls"
    assert annotations(found).get(entry_point) == annotations(before).get(entry_point)


WELL_KNOWN = ("/.well-known/matrix/client", "/.well-known/matrix/server")


@pytest.mark.parametrize(
    ("ingress", "hosts"),
    [
        pytest.param({}, {HOST}, id="one name: its host answers"),
        pytest.param({"wellKnown": {}}, {HOST}, id="one name: asked for, it needs no more objects"),
        pytest.param({"wellKnown": {"enabled": False}}, set(), id="a website answers"),
        pytest.param({"host": "c.example"}, {"c.example"}, id="two names: the website's is left"),
        pytest.param({"host": "c.example", "wellKnown": {}}, {HOST, "c.example"},
                     id="two names, both ours"),
        pytest.param({"enabled": False, "wellKnown": {}}, set(), id="no way in"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", dialects.READERS)
def test_well_known_is_answered_at(name: str, ingress: dict[str, Any], hosts: set[str]) -> None:
    reader = dialects.READERS[name]
    objects = list(build_edge(dialects.server(reader.controller, **ingress), EVERYONE))
    for path in WELL_KNOWN:
        answering = {
            host
            for host in (HOST, "c.example")
            if reader.matcher(_of_host(objects, host), host).service_of(Request(path))
        }
        assert answering == hosts


@pytest.mark.parametrize(
    ("name", "ingress", "told"),
    [
        pytest.param("oak.example", {}, "oak.example:443", id="unasked, at its own name"),
        pytest.param("oak.example", {"wellKnown": {"enabled": False}}, None, id="a website"),
        pytest.param("oak.example", {"host": "c.example"}, None, id="another host, unasked"),
        pytest.param("oak.example", {"host": "c.example", "wellKnown": {}}, "c.example:443",
                     id="another host"),
        pytest.param("oak.example:8448", {}, None, id="who is given a port asks nobody"),
        pytest.param("oak.example", {"enabled": False}, None, id="no way in"),
    ],
)  # fmt: skip
def test_other_servers_are_told(name: str, ingress: dict[str, Any], told: str | None) -> None:
    server = dialects.server("ingress-nginx", **ingress)
    assert delegated_to(dataclasses.replace(server, server_name=name)) == told


@pytest.mark.parametrize("name", dialects.READERS)
def test_a_name_that_is_another_host_serves_nothing_else(name: str) -> None:
    reader = dialects.READERS[name]
    server = dialects.server(reader.controller, host="c.example", wellKnown={})
    matcher = reader.matcher(_of_host(list(build_edge(server, EVERYONE)), HOST), HOST)
    for path in ("/", "/.well-known/matrix", "/.well-known/matrix/support",
                 "/.well-known/matrix/clientx", "/_matrix/client/versions"):  # fmt: skip
        assert matcher.service_of(Request(path)) is None


def test_no_expressions_come_near_a_website() -> None:
    """One Ingress with use-regex turns all paths of its host into expressions."""
    found = edge("ingress-nginx", host="c.example", wellKnown={})["maple-main-well-known"]
    assert f"{NGINX}use-regex" not in annotations(found)


def _of_host(objects: list[Object], host: str) -> list[Object]:
    return [each for each in objects if host in str(each["spec"])]


@pytest.mark.parametrize("name", dialects.READERS)
@pytest.mark.parametrize("host", [HOST, "f.example"])
def test_other_servers_are_served_at_both_hosts(name: str, host: str) -> None:
    reader = dialects.READERS[name]
    server = dialects.server(reader.controller, federation={"host": "f.example"})
    matcher = reader.matcher(_of_host(list(build_edge(server, EVERYONE)), host), host)
    sent = matcher.service_of(Request("/_matrix/federation/v1/send/1", "PUT"))
    assert sent == "maple-federation-inbound"
    assert matcher.service_of(Request("/_matrix/key/v2/server")) == "maple-federation"
    assert matcher.service_of(Request("/_matrix/federation/v1/new")) == "maple-main"
    synced = matcher.service_of(Request("/_matrix/client/v3/sync"))
    assert (synced is None) is (host == "f.example")


@every_controller
def test_a_service_of_somebody_elses_can_answer(controller: str) -> None:
    login = next(t for t in EVERYONE if t.route_class.name == "login")
    foreign = dataclasses.replace(
        login, groups=(), single=True, service=ForeignService("auth", 8080)
    )
    (found, *_) = build_edge(dialects.server(controller), (foreign,))
    assert found["metadata"]["name"] == "maple-login"
    text = str(found["spec"])
    assert "'auth'" in text
    assert "8080" in text
    assert "8008" not in text


@every_controller
def test_every_object_is_of_a_managed_kind(controller: str) -> None:
    for found in edge(controller, host="c.example", wellKnown={}).values():
        kind = BY_KIND[found["kind"]]
        assert (found["apiVersion"], kind.pruned) == (kind.api_version, True)


def test_http_routes_keep_within_the_bounds_of_their_kind() -> None:
    many = tuple(
        Route("client", f"/_matrix/client/v9/{'x' * 30}{index}", methods=frozenset({"GET", "PUT"}))
        for index in range(200)
    )
    targets = tuple(
        dataclasses.replace(target, routes=(*target.routes, *many))
        if target.route_class.name == "client"
        else target
        for target in EVERYONE
    )
    found = list(build_edge(dialects.server("gateway-api"), targets))
    parts = [f["metadata"]["name"] for f in found if "maple-client" in f["metadata"]["name"]]
    assert parts == [f"maple-client{suffix}" for suffix in ("", "-2", "-3", "-4")]
    for route in found:
        rules = route["spec"]["rules"]
        assert 1 <= len(rules) <= 16
        assert all(1 <= len(rule["matches"]) <= 64 for rule in rules)
        assert sum(len(rule["matches"]) for rule in rules) <= 128
        for rule in rules:
            for match in rule["matches"]:
                assert len(match["path"]["value"]) <= gateway_api.LONGEST_PATH


def with_users(pattern: str) -> tuple[Target, ...]:
    """The targets, where users of an application service match the pattern."""
    (bridged,) = (target for target in EVERYONE if target.appservices)
    rows = tuple(dataclasses.replace(row, query=("user_id", pattern)) for row in bridged.routes)
    changed = dataclasses.replace(bridged, routes=rows)
    return (changed, *(target for target in EVERYONE if target is not bridged))


def test_users_that_a_gateway_cannot_be_told_go_where_everybody_goes() -> None:
    long = with_users("@" + "x" * 1100)
    server = dialects.server("gateway-api")
    assert "maple-for-bridged" not in {o["metadata"]["name"] for o in build_edge(server, long)}
    whats = {reduction.what for reduction in edge_reductions(server, long)}
    assert "telling requests by user_id apart" in whats
    longest = with_users("x" * (gateway_api.CAN.longest_query or 0))
    assert "maple-for-bridged" in {o["metadata"]["name"] for o in build_edge(server, longest)}


def test_no_letter_of_a_registration_ends_an_expression_of_traefiks() -> None:
    users = with_users("@a`.*")
    matcher = dialects.matcher(dialects.READERS["traefik-crd"], users)
    theirs = Request("/_matrix/client/v3/sync", query="user_id=%40a%60b")
    assert matcher.service_of(theirs) == "maple-for-bridged"
    others = Request("/_matrix/client/v3/sync", query="user_id=%40ab&since=s1")
    assert matcher.service_of(others) == "maple-sync"


def test_a_gateway_is_named_as_precisely_as_its_owner_does() -> None:
    named = {"name": "outer", "namespace": "gateways", "sectionName": "https"}
    for found in edge("gateway-api", gateway=named).values():
        assert found["spec"]["parentRefs"] == [named]
    assert edge("gateway-api")["maple-main"]["spec"]["parentRefs"] == [{"name": "outer"}]


@pytest.mark.parametrize(
    ("controller", "size", "told"),
    [("traefik", "90m", True), ("traefik", "50m", False), ("ingress-nginx", "90m", False)],
    ids=["it was asked for", "it is the default", "it can be said"],
)
def test_a_largest_body_that_cannot_be_said_is_told(controller: str, size: str, told: bool) -> None:
    server = dialects.server(controller, maxBodySize=size)
    whats = {reduction.what for reduction in edge_reductions(server, EVERYONE)}
    assert ("ingress.maxBodySize" in whats) is told


def test_nothing_is_reduced_where_there_is_no_way_in() -> None:
    assert edge_reductions(dialects.server("traefik", enabled=False), EVERYONE) == ()


def test_main_alone_loses_nothing_in_any_dialect() -> None:
    body = {**EVERY_CLASS, "spec": {"serverName": "maple.example"}}
    for controller in CONTROLLERS:
        assert edge_reductions(dialects.server(controller, body), targets_of(body)) == ()


def test_ingresses_of_a_site_are_read_as_one() -> None:
    """The matchers see what the product builds of a whole homeserver, not only of targets."""
    built = case.build_all(case.Case("rosebud", usual(), {})).edge
    assert parse(usual()).ingress.controller == "ingress-nginx"
    matcher = NginxMatcher(built, "rose.example")
    assert matcher.service_of(Request("/_matrix/client/v3/sync")) == "rosebud-sync"
