"""The router sends each request where the table says."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.deciding import decide
from tests.core.requests import Request, corpus
from tests.router.evaluator import Evaluator
from tests.router.rig import Proxy, proxy, servers
from tests.router.samples import NAMES, everyone, files, sample

from homeserver_operator.api.names import MAIN
from homeserver_operator.render.router.limits import LOGIN, REGISTER
from homeserver_operator.render.router.maps import in_a_file
from homeserver_operator.routes.table import ROUTES

SEED, SAMPLE = 4, 600

of_every_sample = pytest.mark.parametrize("name", NAMES)


def expected(name: str, request: Request) -> str:
    found = decide(everyone(name), request.method, request.path, request.parameters)
    return found.route_class.name if found else MAIN


@pytest.mark.long
@of_every_sample
def test_every_request_goes_where_the_table_says(name: str) -> None:
    evaluator = Evaluator(files(sample(name)))
    requests = corpus(everyone(name))
    assert len(requests) > 300
    wrong = {
        request: (found, wanted)
        for request in requests
        if (found := evaluator.facts(request).split(":")[0]) != (wanted := expected(name, request))
    }
    assert wrong == {}


@pytest.fixture(scope="module", params=["everything", "authentication-service", "whoami"])
def running(
    request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Proxy]]:
    name: str = request.param
    written = files(sample(name))

    def unlimited(config: str) -> str:
        return re.sub(r".*track-sc.*\n", "", config)

    directory = tmp_path_factory.mktemp("haproxy")
    with servers() as found, proxy(program, written, directory, found.port, change=unlimited) as it:
        yield name, it


@pytest.mark.haproxy
def test_real_haproxy_sends_every_request_where_the_table_says(
    running: tuple[str, Proxy],
) -> None:
    name, it = running
    open_to_all = [r for r in corpus(everyone(name)) if not r.path.startswith("/_synapse/admin")]
    admin = [r for r in corpus(everyone(name)) if r.path.startswith("/_synapse/admin")]
    requests = random.Random(SEED).sample(open_to_all, SAMPLE) + admin[:50]  # noqa: S311 - no secret
    wrong = {
        request: (found, wanted)
        for request in requests
        if (found := it.backend(request.method, _target(request)))
        != (wanted := expected(name, request))
    }
    assert wrong == {}


def _target(request: Request) -> str:
    return request.path + (f"?{request.query}" if request.query else "")


@pytest.mark.haproxy
def test_a_path_is_passed_on_as_it_came(running: tuple[str, Proxy]) -> None:
    _name, it = running
    for path in ("/_matrix/client/v3/rooms/%21r%3Ax/state//", "/_matrix/client/v3/join/%23a%2Fb:x",
                 "/_matrix/client/v3/../x", "/_matrix/media/v3/%zz"):  # fmt: skip
        assert it.ask("GET", path).seen[":path"] == path


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("a b", "a b", id="a space"),
        pytest.param("a\\ b", "a b", id="an escaped space"),
        pytest.param("a\\\\ b", "a\\ b", id="an escaped backslash and a space"),
        pytest.param("[ \t]", "\t", id="white space in a class"),
        pytest.param("a\nb", "a\nb", id="the end of a line"),
        pytest.param("a\\\nb", "a\nb", id="an escaped end of a line"),
        pytest.param("#\\s", "# ", id="what begins a comment elsewhere"),
    ],
)
def test_a_pattern_in_a_file_means_the_same_on_one_line(pattern: str, text: str) -> None:
    written = in_a_file(pattern)
    assert not re.search(r"\s", written)
    assert re.fullmatch(pattern, text)
    assert re.fullmatch(written, text)


@given(st.text("ab \\\t\n.*", max_size=6), st.text("ab \\\t\n", max_size=3))
def test_any_pattern_in_a_file_means_the_same(pattern: str, text: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error:
        return
    written = in_a_file(pattern)
    assert not re.search(r"\s", written)
    assert bool(compiled.fullmatch(text)) == bool(re.fullmatch(written, text))


def test_what_is_limited_are_paths_of_the_table() -> None:
    patterns = {row.pattern for row in ROUTES}
    assert {LOGIN, REGISTER} <= patterns
