"""Sample requests: real ones for every row, and none that Synapse would act upon."""

import re

import pytest
from tests.core import ownership
from tests.core.worlds import EVERY_CLASS

from homeserver_operator.api.spec import parse
from homeserver_operator.cli.edge import make_edge
from homeserver_operator.cli.requests import Request, find
from homeserver_operator.cli.samples import METHODS, Sample, samples
from homeserver_operator.routes import Target
from homeserver_operator.routes.classes import RouteClass
from homeserver_operator.routes.table import Route

EDGE = make_edge(parse(EVERY_CLASS))
SAMPLES = [*samples(EDGE.told)]


def paths(sample: Sample) -> list[str]:
    return [requests[0].path for requests in sample.variants]


def target(*routes: Route) -> Target:
    return Target(RouteClass("some"), ("group",), single=True, routes=routes)


def test_every_row_that_the_edge_tells_has_a_sample() -> None:
    told = {route for each in EDGE.told for route in each.routes}
    assert {sample.route for sample in SAMPLES} == told | {None}


# Synapse serves SAML with pysaml2 alone, which needs a program that tests do not install.
PROVEN = [sample for sample in SAMPLES if "saml2" not in paths(sample)[0]]


@pytest.mark.parametrize("sample", PROVEN, ids=lambda sample: paths(sample)[0])
def test_a_sample_is_an_endpoint_of_synapse_with_a_method_that_it_has(sample: Sample) -> None:
    assert any(
        servlet.takes(method, path)
        for path in paths(sample)
        for method in METHODS
        for servlet in ownership.servlets()
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: paths(sample)[0])
def test_a_sample_goes_where_its_row_leads(sample: Sample) -> None:
    for request in (request for variant in sample.variants for request in variant):
        found = find(EDGE.told, request)
        assert (found[1] if found else None) == sample.route


def test_no_sample_asks_for_keys_of_another_server() -> None:
    """Synapse would ask that server, and remember that it did not answer."""
    everything = {path for sample in SAMPLES for path in paths(sample)}
    assert not [path for path in everything if re.match("/_matrix/key/v2/query/.", path)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("/a/[^/]+", [["/a/verify"]], id="an open segment"),
        pytest.param("/(api/v1|r0|v3)/a", [["/v3/a"]], id="one version stands for all"),
        pytest.param("/(b|a)", [["/a"], ["/b"]], id="each alternative is an endpoint"),
        pytest.param(
            "/a(/[^/]+)?", [["/a/verify", "/a"]], id="what may be left out may make it real"
        ),
        pytest.param("/a/.+", [["/a/verify", "/a/verify/verify"]], id="several segments"),
        pytest.param("/a(/.*)?", [["/a"]], id="what may be anything is left out"),
        pytest.param("/a\\.b/?", [["/a.b"]], id="a literal dot, and no slash at the end"),
        pytest.param("/_matrix/media/.*", [["/_matrix/media/v3/config"]], id="a known tail"),
        pytest.param(
            "/a/(v/x(/[^/]+)?|k)", [["/a/k"], ["/a/v/x/verify", "/a/v/x"]], id="groups in groups"
        ),
    ],
)
def test_the_paths_of(pattern: str, expected: list[list[str]]) -> None:
    *found, _main = samples([target(Route("some", pattern))])
    assert [paths(sample) for sample in found] == expected


def test_a_narrow_row_and_its_wide_one_each_get_their_requests() -> None:
    narrow = Route("some", "/sync", frozenset({"GET"}), without_query="since")
    wide = Route("other", "/sync")
    first, second, _main = samples([target(narrow), target(wide)])
    assert first.variants == ((Request("GET", "/sync"),),)
    assert second.variants == (
        tuple(Request(method, "/sync", (("since", "verify"),)) for method in METHODS),
    )


def test_a_wide_row_gets_the_methods_that_a_narrow_one_leaves() -> None:
    narrow, wide = Route("some", "/a", frozenset({"GET"})), Route("other", "/a")
    _first, second, _main = samples([target(wide, narrow)])
    by_route = {sample.route: sample for sample in (_first, second)}
    assert [r.method for r in by_route[wide].variants[0]] == ["POST", "PUT", "DELETE"]


def test_a_condition_on_the_query_is_met() -> None:
    row = Route("some", "/a", query=("user_id", "@_irc_.*:example\\.org"))
    sample, _main = samples([target(row)])
    assert sample.variants[0][0].query == (("user_id", "@_irc_verify:example.org"),)
