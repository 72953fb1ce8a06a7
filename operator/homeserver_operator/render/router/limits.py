"""What is refused before Synapse sees it, and the tables that count.

By source address, of which IPv6 gives everybody many, so its network counts; or by access token as
a digest: a user's name could be forged, to lock that user out.
"""

from collections.abc import Iterator
from typing import Final

from homeserver_operator.api.router import Limit, Limits
from homeserver_operator.render.router.answers import answer

LOGIN: Final = "/_matrix/client/(api/v1|r0|v3|unstable)/login"
REGISTER: Final = "/_matrix/client/(r0|v3|unstable)/register"

_MOST: Final = "100k"
_SOURCE: Final = "var(txn.source),ipmask(32,64)"
_TOKEN: Final = "var(txn.token),sha1"  # noqa: S105 - where it is found


def tables(limits: Limits) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A section for each table: its name and its lines."""
    for name, limit, kind in (
        ("login", limits.login, "ipv6"),
        ("registration", limits.registration, "ipv6"),
        ("initial-sync", limits.initial_sync, "binary len 20"),
    ):
        if limit:
            period = f"{limit.period_seconds}s"
            counts = f"size {_MOST} expire {period} store http_req_rate({period})"
            yield _table(name), (f"stick-table type {kind} {counts}",)


def _table(name: str) -> str:
    # No route class has a name with a dot.
    return f"limit.{name}"


def limit_rules(limits: Limits) -> Iterator[str]:
    """Count and refuse."""
    for number, (name, pattern, limit) in enumerate(
        (("login", LOGIN, limits.login), ("registration", REGISTER, limits.registration))
    ):
        if limit:
            condition = f"METH_POST {{ path -m reg ^{pattern}$ }}"
            yield from _rules(number, name, _SOURCE, limit, condition)
    if limit := limits.initial_sync:
        condition = "{ var(txn.class) -m str initial-sync } { var(txn.token) -m len gt 0 }"
        yield from _rules(2, "initial-sync", _TOKEN, limit, condition)


def _rules(number: int, name: str, key: str, limit: Limit, condition: str) -> Iterator[str]:
    yield f"http-request track-sc{number} {key} table {_table(name)} if {condition}"
    # The rate slides, so a part of the period is enough.
    wait = max(limit.period_seconds // limit.requests, 1)
    yield answer(429, "M_LIMIT_EXCEEDED", "Too many requests", wait) + (
        f" if {{ sc_http_req_rate({number}) gt {limit.requests} }}"
    )
