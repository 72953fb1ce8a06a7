"""The access log: a line of JSON for each request, that holds no query, no header and no token.

Some paths hold what opens something, by itself: it is left out of them. So is whatever looks like a
token, wherever somebody may have put it.
"""

from collections.abc import Iterator
from typing import Final

_LONGEST_PATH: Final = 1024

_SECRET: Final = "/(rendezvous|delayed_events|registration_tokens)/[^/]+"  # noqa: S105 - a pattern
_TOKEN: Final = "(sy[tlr]|m[ac][tr])_[^/]+"  # noqa: S105 - a pattern

_UNUSUAL: Final = r"[^!#-\[\]-~]"
"""What is to be escaped in JSON."""

_SUSPECT: Final = f"{_SECRET}|{_TOKEN}|{_UNUSUAL}"
"""Where anything is left out or escaped: finding that out costs less than doing it."""

_FIELDS: Final = (
    ("time", "%Ts.%ms"),
    ("source", '"%[var(txn.source)]"'),
    ("method", '"%HM"'),
    ("path", '"%[var(txn.path)]"'),
    ("class", '"%[var(txn.row),field(1,:)]"'),
    ("groups", '"%[var(txn.groups)]"'),
    ("pod", '"%[var(txn.pod)]"'),
    ("server", '"%b/%s"'),
    ("hash", '"%[var(txn.row),field(3,:)]"'),
    ("key", '"%[var(txn.kind)]"'),
    ("status", "%ST"),
    ("retries", '"%rc"'),
    ("ended", '"%ts"'),
    ("request_ms", "%TR"),
    ("queue_ms", "%Tw"),
    ("connect_ms", "%Tc"),
    ("response_ms", "%Tr"),
    ("total_ms", "%Ta"),
    ("received", "%U"),
    ("sent", "%B"),
)
"""Retries with a + in front ended at another server; `ended` is HAProxy's termination state."""

LOG_FORMAT: Final = "{" + ",".join(f'"{name}":{value}' for name, value in _FIELDS) + "}"


def log_rules() -> Iterator[str]:
    """Keep what the log says of the request."""
    path = f"path,bytes(0,{_LONGEST_PATH})"
    yield f"http-request set-var(txn.path) {path}"
    masked = f'regsub("{_SECRET}","/\\1/-",g),regsub("{_TOKEN}","-",g)'
    yield (
        f"http-request set-var(txn.path) '{path},{masked},json(utf8s)' "
        f"if {{ var(txn.path) -m reg '{_SUSPECT}' }}"
    )
