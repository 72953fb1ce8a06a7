"""A request as far as routing looks at it, and the row of the table that it falls to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from homeserver_operator.cli.output import CliError
from homeserver_operator.routes import Target
from homeserver_operator.routes.table import Route

_SECRETS: Final = frozenset({"access_token", "loginToken", "token", "client_secret", "code"})
"""Parameters of queries."""


@dataclass(frozen=True)
class Request:
    """Method, path as it is sent (percent-encoded), and the decoded query.

    `written` is the query as it stood where somebody wrote it.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    written: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    @property
    def shown(self) -> str:
        """The same for people's terminals: without the values that let their holder in."""
        query = tuple((name, "..." if _is_secret(name) else value) for name, value in self.query)
        return str(replace(self, query=query))

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def _is_secret(name: str) -> bool:
    # Some read a further mark as the beginning of a name.
    return name.rpartition("?")[2] in _SECRETS


def parse_request(text: str) -> Request:
    """Read 'GET /path?query', with or without the server before the path; raises CliError."""
    method, _, url = text.strip().partition(" ")
    refusal = CliError(f"{text!r} is no request: write it as 'GET /_matrix/client/versions'")
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # brackets without an address in them
        raise refusal from None
    if not method.isalpha() or not parts.path.startswith("/"):
        raise refusal
    # Synapse parts them at both.
    query = tuple(parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True))
    return Request(method.upper(), parts.path, query, parts.query)


def find(targets: Iterable[Target], request: Request) -> tuple[Target, Route] | None:
    """The row that decides, and where it leads; None for what the table leaves to main.

    Narrow rows come before wide ones, and where several fit, the first one.
    """
    fitting = [
        (target, route) for target in targets for route in target.routes if _fits(route, request)
    ]
    return min(fitting, key=lambda found: not found[1].narrow, default=None)


def _fits(route: Route, request: Request) -> bool:
    query = dict(request.query)
    if not re.fullmatch(route.pattern, request.path):
        return False
    if route.methods and request.method not in route.methods:
        return False
    if route.without_query and query.get(route.without_query):
        return False
    if route.query:
        name, pattern = route.query
        return name in query and bool(re.fullmatch(pattern, query[name]))
    return True


def describe(route: Route) -> str:
    """A row in words: methods, pattern, conditions on the query."""
    text = route.pattern
    if route.methods:
        text = f"{','.join(sorted(route.methods))} {text}"
    if route.without_query:
        text = f"{text}  without ?{route.without_query}"
    if route.query:
        text = f"{text}  with ?{route.query[0]}={route.query[1]}"
    return text
