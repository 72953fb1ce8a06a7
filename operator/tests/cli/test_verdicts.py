"""What answers say about routes."""

import pytest

from homeserver_operator.cli.requests import Request
from homeserver_operator.cli.samples import Sample
from homeserver_operator.cli.verdicts import Answer, Finding, Verdict, judge
from homeserver_operator.routes.table import Route

PATH = "/_matrix/client/v3/keys/query"
ROUTE = Route("encryption", PATH)
EXPERIMENT = "/_matrix/client/unstable/org.example/thing"

TOKEN = (401, "M_MISSING_TOKEN")
NOT_HERE = (404, "M_UNRECOGNIZED")
NO_METHOD = (405, "M_UNRECOGNIZED")
NOT_FOUND = (404, "M_NOT_FOUND")
CONTROLLER = (404, None)
GATEWAY = (502, None)
REDIRECT = (308, None)
NOBODY = (0, None)
PAGE = (400, None)

METHODS = ("GET", "POST", "PUT", "DELETE")

What = tuple[int, str | None]


def finding(*variants: list[What], path: str = PATH, groups: tuple[str, ...] = ()) -> Finding:
    """The verdict on an endpoint of `keys`; `groups` is who answered, if logs say so."""
    tried = [
        [
            Answer(Request(method, path), f"{number}-{method}", status, code)
            for method, (status, code) in zip(METHODS, answers, strict=False)
        ]
        for number, answers in enumerate(variants)
    ]
    sample = Sample(ROUTE, tuple(tuple(a.request for a in answers) for answers in tried))
    seen = {a.name: frozenset(groups) for answers in tried for a in answers if groups}
    return judge(sample, tried, ("keys",), seen)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        pytest.param([NO_METHOD, TOKEN, NO_METHOD, NO_METHOD], "ok", id="it asks for credentials"),
        pytest.param([NOT_FOUND, NO_METHOD], "ok", id="what is asked for is not there"),
        pytest.param([(200, None)], "ok", id="an answer"),
        pytest.param([(429, "M_LIMIT_EXCEEDED")], "ok", id="too many requests"),
        pytest.param([NOT_HERE] * 4, "unrecognized", id="the process lacks the path"),
        pytest.param([NO_METHOD] * 4, "unrecognized", id="the process has no method of it"),
        pytest.param([TOKEN, NOT_HERE], "unrecognized", id="a method goes to another process"),
        pytest.param([TOKEN, (500, "M_UNKNOWN")], "error", id="a process that must not have it"),
        pytest.param([GATEWAY], "error", id="no process behind the Service"),
        pytest.param([CONTROLLER], "nowhere", id="the controller has no such path"),
        pytest.param([REDIRECT], "nowhere", id="a redirect of the controller's"),
        pytest.param([TOKEN, NOBODY], "nowhere", id="a connection that broke"),
    ],
)
def test_an_endpoint_that_answers(answers: list[What], verdict: str) -> None:
    assert finding(answers).verdict.value == verdict


def test_of_the_paths_that_there_may_be_one_is_enough() -> None:
    found = finding([NOT_HERE] * 4, [TOKEN, NO_METHOD])
    assert (found.verdict, found.answers) == (Verdict.OK, "GET 401")


@pytest.mark.parametrize(
    ("groups", "verdict"),
    [
        pytest.param((), Verdict.OK, id="nobody knows who"),
        pytest.param(("keys",), Verdict.OK, id="the group of the table"),
        pytest.param(("keys", "main"), Verdict.ELSEWHERE, id="another one now and then"),
    ],
)
def test_who_answered(groups: tuple[str, ...], verdict: Verdict) -> None:
    found = finding([TOKEN], groups=groups)
    assert (found.verdict, found.answered) == (verdict, tuple(sorted(groups)))


@pytest.mark.parametrize(
    ("groups", "detail"),
    [
        pytest.param((), "not switched on in Synapse, or misrouted", id="nobody knows who"),
        pytest.param(("keys",), "not switched on in Synapse", id="the right group says so"),
    ],
)
def test_what_a_homeserver_may_leave_off(groups: tuple[str, ...], detail: str) -> None:
    found = finding([NOT_HERE] * 4, path=EXPERIMENT, groups=groups)
    assert (found.verdict, found.detail) == (Verdict.OFF, detail)


def test_an_error_weighs_more_than_who_made_it() -> None:
    found = finding([TOKEN, (500, None)], groups=("main",))
    assert (found.verdict, found.detail) == (Verdict.ERROR, "POST: 500")


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/_synapse/client/pick_idp", Verdict.OK),
        ("/_matrix/client/v3/login/sso/redirect", Verdict.OK),
        ("/_matrix/client/v3/login/cas/redirect", Verdict.OK),
        (PATH, Verdict.NOWHERE),
    ],
    ids=["a page of Synapse's", "a login page", "a login page of CAS", "no page"],
)
def test_a_page_instead_of_json(path: str, verdict: Verdict) -> None:
    assert finding([PAGE], path=path).verdict is verdict


def test_statuses_are_shown_with_their_methods() -> None:
    found = finding([TOKEN, (400, "M_NOT_JSON"), TOKEN, NO_METHOD])
    assert found.answers == "GET,PUT 401 POST 400"


@pytest.mark.parametrize("verdict", Verdict)
def test_only_these_are_good(verdict: Verdict) -> None:
    assert verdict.good is (verdict in {Verdict.OK, Verdict.OFF})
