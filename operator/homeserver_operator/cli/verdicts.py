"""What the answers to sample requests say about the routes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from homeserver_operator.api.names import MAIN
from homeserver_operator.cli.requests import Request
from homeserver_operator.cli.samples import Sample

UNRECOGNIZED: Final = "M_UNRECOGNIZED"
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405
_SERVER_ERROR: Final = 500

_MAY_BE_OFF: Final = (
    "/_matrix/client/unstable/",
    "/_matrix/client/v3/login/cas/",
    "/_matrix/client/v3/login/sso/",
    "/_matrix/federation/unstable/",
    "/_matrix/saml2/",
    "/_synapse/",
)
"""Features of a homeserver's own choice: where they are off, no process knows them."""


@dataclass(frozen=True)
class Answer:
    """The answer to one request. `name` is the request's in logs, `status` 0 is no answer."""

    request: Request
    name: str
    status: int
    errcode: str | None
    error: str | None = None

    @property
    def known(self) -> bool:
        """Whether whoever answered has this endpoint with this method."""
        return self.of_synapse and self.errcode != UNRECOGNIZED

    @property
    def unknown_path(self) -> bool:
        """Whether whoever answered has nothing at this path, whatever the method."""
        return self.errcode == UNRECOGNIZED and self.status != _NOT_ALLOWED

    @property
    def of_synapse(self) -> bool:
        """Whether it is Synapse's answer, and not that of something in front of it."""
        if self.errcode is not None or 200 <= self.status < 300:
            return True
        path = self.request.path
        pages = not path.startswith("/_matrix/") or "/login/sso/" in path or "/login/cas/" in path
        return pages and 0 < self.status < _SERVER_ERROR and self.status != _NOT_FOUND


class Verdict(StrEnum):
    """How an endpoint's requests fared."""

    OK = "ok"
    OFF = "off"
    """Nobody knows it, and it is of those that a homeserver may leave switched off."""
    UNRECOGNIZED = "unrecognized"
    ERROR = "error"
    NOWHERE = "nowhere"
    """No answer, or one that is not Synapse's."""
    ELSEWHERE = "elsewhere"
    """Another group answered than the table names."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self in {Verdict.OK, Verdict.OFF}


@dataclass(frozen=True)
class Finding:
    """One endpoint's verdict. `expected` and `answered` are groups; `answered` empty: not seen."""

    verdict: Verdict
    route_class: str
    path: str
    expected: tuple[str, ...]
    answered: tuple[str, ...]
    answers: str
    detail: str


def judge(
    sample: Sample,
    tried: Sequence[Sequence[Answer]],
    expected: tuple[str, ...],
    seen: Mapping[str, frozenset[str]],
) -> Finding:
    """The verdict on one endpoint; `seen` has the groups that answered, by the request's name."""
    answers = next((each for each in tried if any(a.known for a in each)), tried[0])
    groups = {group for answer in answers for group in seen.get(answer.name, ())}
    verdict, detail = next(_problems(answers, expected, groups), (Verdict.OK, ""))
    return Finding(
        verdict,
        sample.route.route_class if sample.route else MAIN,
        answers[0].request.target,
        expected,
        tuple(sorted(groups)),
        _statuses(answers),
        detail,
    )


def _problems(
    answers: Sequence[Answer], expected: tuple[str, ...], groups: set[str]
) -> Iterator[tuple[Verdict, str]]:
    """What is wrong, the weightiest first."""
    if failed := [answer for answer in answers if answer.status >= _SERVER_ERROR]:
        yield Verdict.ERROR, f"{_methods(failed)}: {failed[0].status}"
    if lost := [answer for answer in answers if not answer.of_synapse]:
        what = lost[0].error or f"{lost[0].status}, and not by Synapse"
        yield Verdict.NOWHERE, f"{_methods(lost)}: {what}"
    if expected and (strangers := sorted(groups.difference(expected))):
        yield (
            Verdict.ELSEWHERE,
            f"answered by {', '.join(strangers)}, not by {', '.join(expected)}",
        )
    unknown = [answer for answer in answers if answer.unknown_path]
    if any(answer.known for answer in answers):
        if unknown:
            yield Verdict.UNRECOGNIZED, f"{_methods(unknown)}: by a process that lacks the path"
    elif answers[0].request.path.startswith(_MAY_BE_OFF):
        doubt = "" if groups else ", or misrouted"
        yield Verdict.OFF, f"not switched on in Synapse{doubt}"
    else:
        yield Verdict.UNRECOGNIZED, "whoever answered does not have it"


def _methods(answers: Iterable[Answer]) -> str:
    return ",".join(answer.request.method for answer in answers)


def _statuses(answers: Sequence[Answer]) -> str:
    """Statuses with their methods; those of methods that there are not only if there are none."""
    shown = [a for a in answers if not (a.status == _NOT_ALLOWED and a.errcode == UNRECOGNIZED)]
    by_status: dict[int, list[Answer]] = {}
    for answer in shown or answers:
        by_status.setdefault(answer.status, []).append(answer)
    return " ".join(f"{_methods(each)} {status or 'none'}" for status, each in by_status.items())
