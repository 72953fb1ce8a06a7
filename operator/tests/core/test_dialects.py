"""Every dialect decides every request as the table does, as its controller reads it."""

import dataclasses
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core import dialects
from tests.core.dialects import READERS, Reader
from tests.core.matchers import Matcher
from tests.core.requests import Request, corpus
from tests.core.test_routes import generated_path

from homeserver_operator.api.names import MAIN
from homeserver_operator.routes import Target
from homeserver_operator.routes.exposure import sites
from homeserver_operator.routes.reduction import Capabilities, reduce_targets, reductions

EVERYONE = dialects.everyone()
CORPUS = corpus(EVERYONE)

every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


@functools.cache
def matcher(reader: Reader, mains: frozenset[str] = frozenset()) -> Matcher:
    return dialects.matcher(reader, dialects.given_to_main(EVERYONE, mains))


@pytest.mark.long
@every_reader
def test_every_request_goes_where_the_table_says(reader: Reader) -> None:
    assert len(CORPUS) >= 500
    wrong = {
        request: (found, expected)
        for request in CORPUS
        if (found := matcher(reader).service_of(request))
        != (expected := reader.expected(EVERYONE, request))
    }
    assert wrong == {}


NAMES = sorted(target.route_class.name for target in EVERYONE)
ROWS = sorted({row for target in EVERYONE for row in target.routes}, key=str)

requests = st.builds(
    Request,
    st.sampled_from(ROWS).flatmap(generated_path),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.sampled_from(["", "since=", "since=s1", "user_id=%40bridge_1%3Amaple.example",
                     "user_id=%40me%3Ax", "since=s1&user_id=@bridge_1:maple.example",
                     "user_id=@bridge_1:maple.example&since=", "full_state=true",
                     "since=s1&full_state=true", "user_id=@bridge_1:maple.example&full_state=true",
                     ]),
)  # fmt: skip


@pytest.mark.long
@given(
    st.sampled_from(sorted(READERS)),
    st.sets(st.sampled_from(NAMES), max_size=4).map(frozenset),
    requests,
)
def test_so_it_does_whoever_answers_and_whatever_users_choose(
    name: str, mains: frozenset[str], request: Request
) -> None:
    """Any of the classes may be main's, so that narrow rows lose their wide one and vice versa."""
    reader, found = READERS[name], dialects.given_to_main(EVERYONE, mains)
    assert matcher(reader, mains).service_of(request) == reader.expected(found, request)


@every_reader
@pytest.mark.parametrize(
    "path", ["/_synapse/replication/register_user/@a:x", "/_synapse/metrics", "/", "/health",
             "/_synapse/replication", "/metrics", "/_matrixx", "/x/_matrix/client/v3/sync",
             "/_synapse/client", "/well-known/matrix/client", "/xwell-known/matrix/client",
             "/_synapse/adminx/_synapse/admin/v1/x"],
)  # fmt: skip
def test_what_is_not_for_the_world_is_not_routed(reader: Reader, path: str) -> None:
    found = matcher(reader).service_of(Request(path))
    # A prefix of the Gateway API includes the folder itself, where Synapse has nothing.
    assert found is None or (path == "/_synapse/client" and reader.controller == "gateway-api")


@every_reader
def test_admin_paths_are_closed_unless_asked_for(reader: Reader) -> None:
    admin = Request("/_synapse/admin/v1/server_version")
    assert dialects.matcher(reader, EVERYONE, adminApi=False).service_of(admin) is None
    assert matcher(reader).service_of(admin) == f"maple-{MAIN}"


def test_no_row_is_outside_of_what_is_open() -> None:
    (site,) = sites(dialects.server("traefik"))
    shown = [row for target in site.of(EVERYONE) for row in target.routes]
    assert shown == [row for target in EVERYONE for row in target.routes]


SLASHES = [
    ("/_matrix/client/v3/rooms/%21r%3Ax/typing/%40a%2Fb%3Ax", "typing"),
    ("/_matrix/client/v3/presence/%40a%2Fb%3Ax/status", "presence"),
    ("/_matrix/client/v3/rooms/%21r%3Ax/receipt/m.read/%24a%2Fb", "receipts"),
    ("/_matrix/client/v3/sendToDevice/m.x/a%2Fb", "to-device"),
    ("/_matrix/client/v3/pushrules/global/room/%21a%2Fb", "push-rules"),
    ("/_matrix/client/unstable/io.element.msc4306/rooms/%21r/thread/%24a%2Fb/subscription",
     "thread-subscriptions"),
]  # fmt: skip


@every_reader
@pytest.mark.parametrize(("path", "route_class"), SLASHES, ids=[name for _, name in SLASHES])
def test_a_slash_in_an_id_leads_nobody_past_the_writer(
    reader: Reader, path: str, route_class: str
) -> None:
    """User ids, and event ids of old rooms, may hold a slash; nginx decodes it before it matches.

    The request then fell to main, which answers 500 once another process writes the stream.
    """
    found = matcher(reader).service_of(Request(path, "PUT"))
    assert found == f"maple-{route_class}"


NOTHING = Capabilities(
    methods=False, without_query=False, query=False, read_timeout=False, body_size=False
)


def lost(found: tuple[Target, ...]) -> dict[str, set[str]]:
    """What is lost of each class where nothing but paths can be said."""
    classes: dict[str, set[str]] = {}
    for reduction in reductions(found, NOTHING):
        for name in reduction.route_classes:
            classes.setdefault(name, set()).add(reduction.what)
    return classes


def test_what_is_lost_is_told_by_class() -> None:
    apart = tuple(
        dataclasses.replace(target, groups=(target.route_class.name,))
        for target in EVERYONE
        if not target.is_main
    )
    found = lost(apart)
    assert found["typing"] == {"waiting 60 s for an answer"}
    assert found["initial-sync"] == {
        "telling requests without since apart",
        "telling requests by full_state apart",
        "hashing by user",
        "waiting 600 s for an answer",
    }
    assert "telling methods apart" in found["client"]
    assert "telling requests by user_id apart" in found["for-bridged"]


def test_nothing_is_lost_where_the_same_processes_answer_anyway() -> None:
    """In this topology one group has both parts of /sync."""
    assert lost(EVERYONE)["initial-sync"] == {"hashing by user", "waiting 600 s for an answer"}


def test_nothing_is_lost_of_classes_that_nobody_claims() -> None:
    assert reductions(dialects.given_to_main(EVERYONE, NAMES), NOTHING) == ()


def test_one_process_needs_no_hashing() -> None:
    alone = [target for target in EVERYONE if target.single]
    said = {reduction.what for reduction in reductions(tuple(alone), NOTHING)}
    assert alone
    assert not [what for what in said if "hashing" in what]


def test_what_cannot_be_said_is_left_to_the_wide_row() -> None:
    left = [row for t in reduce_targets(EVERYONE, NOTHING) for row in t.routes]
    assert not [row for row in left if row.narrow]
    wide = {row for t in EVERYONE for row in t.routes if not row.narrow and not t.is_main}
    assert wide == set(left)


@pytest.mark.long
def test_the_corpus_reaches_every_class() -> None:
    reached = {READERS["traefik-crd"].expected(EVERYONE, request) for request in CORPUS}
    answering = {target.route_class.name for target in EVERYONE if not target.is_main}
    assert reached == {f"maple-{name}" for name in (*answering, MAIN)}
