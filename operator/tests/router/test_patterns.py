"""Patterns that were made cheap to look up match what they matched before."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver_operator.render.router.patterns import merged, paths
from homeserver_operator.routes.table import ROUTES

SEGMENTS = ("a", "b", "a\\.b", "[^/]+", "(a|b)", "(a/b|b)", "(a|b)?", "a(/[^/]+)?", ".*", "b/?")

patterns = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map("/".join)
texts = st.text("ab/.", max_size=7)


@given(st.lists(patterns, min_size=1, max_size=5), texts)
def test_one_pattern_matches_what_any_of_several_does(several: list[str], text: str) -> None:
    any_of_them = any(re.fullmatch(pattern, text) for pattern in several)
    assert bool(re.fullmatch(merged(several), text)) == any_of_them


def test_patterns_that_begin_alike_are_read_once() -> None:
    found = merged(["/x/(r0|v3)/rooms/[^/]+/send", "/x/(r0|v3)/rooms/[^/]+", "/x/(r0|v3)/join"])
    assert found == "/x/(r0|v3)/(?:rooms/[^/]+(?:/send)?|join)"


def test_every_row_matches_alone_what_it_matches_among_all() -> None:
    everything = re.compile(merged([row.pattern for row in ROUTES]))
    for row in ROUTES:
        for path in paths(row.pattern) or ():
            assert everything.fullmatch(path)


@given(patterns, texts)
def test_the_paths_of_a_pattern_are_those_that_it_matches(pattern: str, text: str) -> None:
    found = paths(pattern)
    if found is not None:
        assert (text in found) == bool(re.fullmatch(pattern, text))
        assert [path for path in found if not re.fullmatch(pattern, path)] == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        pytest.param("/a", ("/a",), id="a path"),
        pytest.param("/(a|b/c)/d", ("/a/d", "/b/c/d"), id="alternatives"),
        pytest.param("/a(/(b|c))?", ("/a/b", "/a/c", "/a"), id="an optional group"),
        pytest.param("/a\\.b\\?", ("/a.b?",), id="what is escaped"),
        pytest.param("/a?", ("/a", "/"), id="an optional letter"),
        pytest.param("/[^/]+", None, id="a class"),
        pytest.param("/\\d", None, id="a class by its letter"),
        pytest.param("/.*", None, id="anything"),
        pytest.param("/a{2}", None, id="a number of times"),
        pytest.param("/(?:a|b)", None, id="a group of another kind"),
    ],
)
def test_a_pattern_is_paths_where_these_can_be_listed(
    pattern: str, found: tuple[str, ...] | None
) -> None:
    assert paths(pattern) == found


def test_most_requests_of_clients_find_their_row_by_an_index() -> None:
    """The two that come most often are not searched for among expressions."""
    often = {"/_matrix/client/v3/sync", "/_matrix/client/v3/keys/query"}
    listed = {path for row in ROUTES for path in paths(row.pattern) or ()}
    assert often <= listed
