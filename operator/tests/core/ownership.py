"""Who answers which request: what Synapse itself registers, and what only its writers can answer.

The first is data/route_ownership.txt, which `registrations` makes of the installed Synapse. The
second was measured on 1.163.2, because processes register what they then answer with 500.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.core.samples import sample_paths
from tests.core.variants import VARIANTS

FILE: Final = Path(__file__).parent / "data" / "route_ownership.txt"


@dataclass(frozen=True)
class Servlet:
    """One method and pattern. `answers`: the letters of the processes, for each variant.

    s: main without the media repository, w: a worker without, m: main with it, r: a worker with it.
    """

    method: str
    regex: str
    answers: dict[str, str]
    samples: tuple[str, ...]

    def takes(self, method: str, path: str) -> bool:
        # Synapse takes HEAD for GET.
        wanted = "GET" if method == "HEAD" else method
        return self.method in {"*", wanted} and re.match(self.regex, path) is not None


@cache
def servlets() -> tuple[Servlet, ...]:
    rows = (line.split() for line in FILE.read_text().splitlines())
    return tuple(
        Servlet(method, regex, dict(zip(VARIANTS, cells, strict=True)), sample_paths(regex))
        for *cells, method, regex in rows
    )


@cache
def answering(method: str, path: str, variant: str = "usual") -> str:
    """The letters of the processes that have a servlet for the request."""
    found = {
        letter
        for servlet in servlets()
        if servlet.takes(method, path)
        for letter in servlet.answers[variant].strip("-")
    }
    return "".join(sorted(found))


_CLIENT = "/_matrix/client/.*"
ONLY_WRITERS: Final = (
    ("PUT", f"{_CLIENT}/rooms/[^/]*/typing/", "typing"),
    ("PUT", f"{_CLIENT}/sendToDevice/", "toDevice"),
    ("POST", f"{_CLIENT}/rooms/[^/]*/(receipt/|read_markers$)", "receipts"),
    ("PUT DELETE", f"{_CLIENT}/pushrules/", "pushRules"),
    # Reading another user's presence; one's own could be read anywhere.
    ("GET HEAD PUT", f"{_CLIENT}/presence/", "presence"),
    ("PUT DELETE", f"{_CLIENT}/thread/[^/]*/subscription$", "threadSubscriptions"),
    ("POST", "/_synapse/admin/v1/.*quarantine(_media)?(/|$)", "quarantinedMediaChanges"),
)
"""Methods, paths and the stream without whose writer the answer is 500."""


def stream_of(method: str, path: str) -> str | None:
    """The stream (the resource's word) whose writer alone can answer the request."""
    for methods, pattern, stream in ONLY_WRITERS:
        if method in methods.split() and re.match(pattern, path):
            return stream
    return None


@cache
def samples() -> tuple[str, ...]:
    """Every sample path, once."""
    return tuple(sorted({path for servlet in servlets() for path in servlet.samples}))


METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")


@cache
def requests() -> tuple[tuple[str, str], ...]:
    """Methods and sample paths that any process answers in any variant."""
    return tuple(
        (method, path)
        for path in samples()
        for method in METHODS
        if any(answering(method, path, variant) for variant in VARIANTS)
    )
