"""What HAProxy answers itself, as Matrix clients and servers understand it."""

import json
from typing import Final

JSON: Final = "application/json"

HEADERS: Final = {"Access-Control-Allow-Origin": "*"}
"""What every answer carries beside its type."""

RETRY_SECONDS: Final = 2
"""When to try again what found nobody to answer it."""

_TOO_SLOW = "The request did not arrive in time"
_NOBODY = "The homeserver does not answer at the moment, try again"

ERRORS: Final = {
    400: ("M_UNKNOWN", "This is not an HTTP request that the server understands"),
    408: ("M_UNKNOWN", _TOO_SLOW),
    500: ("M_UNKNOWN", "Internal server error"),
    502: ("M_UNKNOWN", _NOBODY),
    503: ("M_UNKNOWN", _NOBODY),
    504: ("M_UNKNOWN", "The homeserver took too long to answer"),
}
"""By status: what HAProxy says on its own account, once it has a request.

What its parser refuses or never gets whole it answers in HTML, whatever is configured: 2.6 and 2.8
were tried, and it is haproxy/haproxy#3032.
"""


def on_error(status: int) -> str:
    """The directive for one of ERRORS."""
    code, error = ERRORS[status]
    return f"http-error {_answer(status, code, error, RETRY_SECONDS if status > 500 else None)}"


def answer(status: int, code: str, error: str, retry_after: int | None = None) -> str:
    """A rule's action that answers a request; who must wait is told how many seconds."""
    return f"http-request return {_answer(status, code, error, retry_after)}"


def _answer(status: int, code: str, error: str, retry_after: int | None) -> str:
    again = {} if retry_after is None else {"Retry-After": str(retry_after)}
    headers = " ".join(f"hdr {name} {value}" for name, value in {**HEADERS, **again}.items())
    said = text(code, error, retry_after)
    return f"status {status} content-type {JSON} string '{said}' {headers}"


def text(code: str, error: str, retry_after: int | None = None) -> str:
    """The body, as Matrix has it: JSON that has neither a single quote nor a backslash."""
    body: dict[str, str | int] = {"errcode": code, "error": error}
    if retry_after is not None:
        body["retry_after_ms"] = retry_after * 1000
    return json.dumps(body)
