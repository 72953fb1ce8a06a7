"""The route table against real Synapse: who gets a request can answer it, and nothing is missed.

What Synapse registers stands in data/route_ownership.txt, and a test compares that with the
installed version; the document's patterns stand in data/workers_document.txt.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.core import ownership
from tests.core.deciding import class_of, decide, on_path, targets_of
from tests.core.ownership import METHODS, answering, stream_of
from tests.core.synapse_pod import pod
from tests.core.variants import VARIANTS
from tests.core.worlds import EVERY_CLASS, MAS_SECRET, with_mas

from homeserver_operator.api.roles import STREAMS
from homeserver_operator.routes import Target
from homeserver_operator.routes.classes import CLASSES
from homeserver_operator.routes.table import ROUTES
from homeserver_runtime import configuration


@cache
def everything(variant: str) -> tuple[Target, ...]:
    """The targets with every class at some worker, main without the media repository."""
    if variant == "mas":
        return targets_of(with_mas(EVERY_CLASS), MAS_SECRET)
    return targets_of(EVERY_CLASS)


SINCE = {"since": "s1"}

STREAMLESS = {each.name for each in CLASSES if each.stream and each.stream not in STREAMS}
"""Classes of streams that no worker can be told to write yet."""


def process_of(target: Target | None) -> str:
    """The letter of the process behind a target (see `ownership.Servlet`)."""
    if target is None or target.is_main:
        return "s"
    return "r" if "media" in target.groups else "w"


@pytest.mark.parametrize("path", ownership.samples())
def test_who_gets_a_request_can_answer_it(path: str) -> None:
    """Neither 404 nor 405 M_UNRECOGNIZED, unless from every process, and no 500."""
    for variant in VARIANTS:
        for method in METHODS:
            target = decide(everything(variant), method, path, SINCE)
            able = answering(method, path, variant)
            if (target and target.route_class.name in STREAMLESS) or not able:
                continue
            assert process_of(target) in able, f"{variant}: {method} goes to {target}"
            if (stream := stream_of(method, path)) and variant != "mas":
                assert target
                assert target.route_class.stream == stream, method


@pytest.mark.parametrize("path", ownership.samples())
def test_so_it_can_where_neither_methods_nor_queries_are_told_apart(path: str) -> None:
    """As behind an Ingress of ingress-nginx: wide rows must do for all methods."""
    wide = [row for row in on_path(path) if not row.narrow]
    for variant in VARIANTS:
        rows = [row for row in wide if row.only in {None, "mas" if variant == "mas" else "synapse"}]
        for method in METHODS:
            able = answering(method, path, variant)
            if able and rows and (name := rows[0].route_class) not in STREAMLESS:
                assert ("r" if name.startswith("media") else "w") in able, f"{variant}: {method}"
                assert stream_of(method, path) in {None, STREAM[name]}, f"{variant}: {method}"


STREAM = {each.name: each.stream for each in CLASSES}

KEPT_BY_MAIN = {
    "/.well-known/": "small, and its host may be another one",
    "/health": "for probes, inside the cluster",
    "/_synapse/mas": "for the Matrix Authentication Service, inside the cluster",
    "/_synapse/client/rendezvous": "kept in memory by the process where it began, which is main",
    "/_synapse/client/oidc($|/.*/)": "nobody asks for these",
}
"""What workers could answer, and why main keeps it."""


def test_whatever_a_worker_can_answer_has_a_row() -> None:
    """So a Synapse that adds an endpoint shows it here, once the data have been updated."""
    kept = re.compile("|".join(KEPT_BY_MAIN))
    missed = [
        f"{variant}: {method} {path}"
        for method, path in ownership.requests()
        if not kept.match(path)
        for variant in VARIANTS
        if set("wr") & set(answering(method, path, variant))
        if decide(everything(variant), method, path, SINCE) is None
        # Synapse mounts the pages of SSO even where there is none.
        if variant != "mas" or class_of(path) != "sso"
    ]
    assert not missed, "\n".join(missed)


def test_every_row_is_reached_by_a_real_servlet() -> None:
    """A row that no request reaches is a mistake, like the document's `keys/upload/`."""
    reached = {row for path in ownership.samples() for row in on_path(path)}
    unreached = [row for row in ROUTES if row not in reached]
    # A library that is not installed here, and another program.
    assert [row for row in unreached if "saml2" not in row.pattern and row.only != "mas"] == []


def document() -> dict[str, list[str]]:
    """The document's patterns, by its headings."""
    found: dict[str, list[str]] = {}
    text = Path(__file__).parent / "data" / "workers_document.txt"
    for line in text.read_text().splitlines():
        if line.startswith("# "):
            patterns = found.setdefault(line.removeprefix("# "), [])
        else:
            patterns.append(line)
    return found


BY_HEADING = {
    "Sync requests": {"sync", "initial-sync"},
    "Federation requests": {"federation"},
    "Inbound federation transaction request": {"federation-inbound"},
    "Client API requests": {"client", "devices"},
    "Encryption requests": {"encryption"},
    "Registration/login requests": {"login"},
    "Event sending requests": {"event-sending"},
    "Account data requests": {"account-data"},
    # 1.163.2 answers 500 anywhere but at the writer.
    "Receipts requests": {"receipts"},
    "Presence requests": {"presence"},
    "User directory search requests": {"user-directory"},
    "Handled for GET requests": {"client"},
    "Pagination requests": {"pagination"},
    "for all SSO providers": {"sso"},
    "OpenID Connect requests": {"sso"},
    "SAML requests": {"sso"},
    "CAS requests": {"sso"},
    "The `typing` stream": {"typing"},
    "The `to_device` stream": {"to-device"},
    "The `account_data` stream": {"account-data"},
    "The `receipts` stream": {"receipts"},
    "The `presence` stream": {"presence"},
    "Updating the User Directory": {"user-directory"},
    "synapse.app.media_repository": {"media", "media-quarantine"},
    "synapse.app.user_dir": {"user-directory"},
}

MATCH_NOTHING = {
    "^/_matrix/client/(r0|v3|unstable)/keys/upload/": "Synapse has it without the slash",
    "^/_synapse/client/saml2/authn_response$": "its library is not installed here",
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("heading", "pattern"), [(head, each) for head, found in document().items() for each in found]
)
def test_what_the_document_offers_to_workers_goes_to_the_group_that_serves_it(
    heading: str, pattern: str
) -> None:
    """Everything, in all methods that a worker can answer and the heading does not exclude."""
    found = [
        (method, path)
        for method, path in ownership.requests()
        if re.match(pattern, path)
        if heading != "Handled for GET requests" or method in {"GET", "HEAD"}
    ]
    if pattern in MATCH_NOTHING:
        assert found == []
        return
    assert found
    for method, path in found:
        for query in ({}, SINCE):
            target = decide(everything("usual"), method, path, query)
            assert target, f"{method} {path}"
            assert target.route_class.name in BY_HEADING[heading], f"{method} {path}"


@pytest.mark.long
def test_the_installed_synapse_registers_what_the_data_say(
    request: pytest.FixtureRequest,
) -> None:
    """Each line that differs is an endpoint that this version of Synapse adds, drops or moves."""
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.core.registrations"],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    ).stdout  # fmt: skip
    if request.config.getoption("--update-golden"):
        ownership.FILE.write_text(printed)
    now, told = printed.splitlines(), ownership.FILE.read_text().splitlines()
    changed = [f"- {line}" for line in told if line not in now]
    changed += [f"+ {line}" for line in now if line not in told]
    assert not changed, "\n".join(changed)


@pytest.mark.long
def test_the_map_that_synapse_makes_of_itself_has_the_same_endpoints() -> None:
    """Both ways: what goes to a worker is listed, and what is listed goes to a worker.

    Synapse's script knows no SSO, no media, no admin API, no keys of its own server, and of push
    rules no writer.
    """
    listed = workers_map()
    assert len(listed) > 100
    routed = set()
    for servlet in ownership.servlets():
        if not servlet.regex.startswith(
            ("^/_matrix/client", "^/_matrix/federation", "^/_matrix/key")
        ):
            continue
        found = [decide(everything("usual"), servlet.method, p, SINCE) for p in servlet.samples]
        if any(found) and stream_of(servlet.method, servlet.samples[0]) != "pushRules":
            assert all(found), servlet.regex
            if {target.route_class.name for target in found if target} & {"sso", "media"}:
                continue
            routed.add((servlet.method, in_the_map(servlet.regex)))
    own_keys = ("GET", in_the_map("^/_matrix/key/v2/server(/(?P<key_id>[^/]*))?$"))
    assert {row for row in routed - {own_keys} if not {row, ("*", row[1])} & listed} == set()
    patterns = {pattern for _method, pattern in routed}
    assert {row for row in listed if row not in routed and row[0] != "*"} == set()
    assert {row for row in listed if row[0] == "*" and row[1] not in patterns} == set()


def in_the_map(regex: str) -> str:
    """A pattern as Synapse's script prints it."""
    return re.sub(r"\(\?P<[^>]+?>(.+?)\)", ".*", regex)


def workers_map() -> set[tuple[str, str]]:
    """What Synapse's script prints for a worker (methods, patterns): it builds one in memory."""
    with pod("single-generic-worker", "clover") as (launch, paths):
        settings: dict[str, Any] = configuration.assemble(launch, paths)
        settings |= VARIANTS["experimental"]
        settings |= {"database": {"name": "sqlite3", "args": {"database": ":memory:"}}}
        file = configuration.write_finished(settings, paths)
        printed = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "synapse._scripts.generate_workers_map",
             "--config-path", str(file)],
            check=True, capture_output=True, text=True, cwd=file.parent,
        ).stdout  # fmt: skip
    lines = (line.split() for line in printed.splitlines() if not line.startswith("#"))
    return {(words[0] if len(words) == 2 else "*", words[-1]) for words in lines if words}
