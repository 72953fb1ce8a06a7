"""Whose an access token is that does not say so, where spec.router.whoami has the router ask.

The rules that decide for which requests it asks, its own way in for that, and what becomes of the
answer. The answer is a key, never a right: Synapse authenticates each request itself. What asks,
remembers and bounds all that is whoami.lua.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from homeserver_operator.api.names import MAIN
from homeserver_operator.render.router.backends import Backend
from homeserver_operator.render.router.keys import SERVICES, SYNAPSES, USER_ID, ask, token_rules
from homeserver_operator.routes.classes import RouteClass

WHOAMI: Final = "whoami"
"""The frontend and the backend of lookups, and the action that waits for one."""

FILE: Final = "whoami.lua"
PATH: Final = "/_matrix/client/v3/account/whoami"

_LOOKUP: Final = RouteClass(WHOAMI, read_timeout=3)
"""A lookup may take longer than its request waits: the next one finds the answer."""

_SERVICES: Final = " ".join(f"{each}_" for each in SERVICES)
"""None of these is an application service's."""


def with_whoami(backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
    """The same, and one more for lookups: the processes that answer everybody's."""
    found = next((each for each in backends if _answers(each)), None)
    main = next(each for each in backends if each.name == MAIN)
    found = found or main
    return (*backends, replace(found, target=replace(found.target, route_class=_LOOKUP)))


def _answers(backend: Backend) -> bool:
    return any(not row.narrow and re.fullmatch(row.pattern, PATH) for row in backend.target.routes)


def user_rules(conditions: Iterable[str]) -> Iterator[str]:
    """Note whom a request names, or else what token there is to ask for.

    `conditions` are those of rows for application services alone: whether they have a request
    depends on the answer. Nobody is asked for users that Synapse's own tokens or application
    services name.
    """
    yield f"http-request set-var(txn.user) {USER_ID} if {{ urlp(user_id) -m len gt 0 }}"
    yield from token_rules()
    opaque = (
        "{ var(txn.token) -m len gt 0 } "
        f"!{{ var(txn.token) -m reg {SYNAPSES} }} !{{ var(txn.user) -m found }}"
    )
    yield f"http-request set-var(txn.digest) var(txn.token),sha2(256) if {opaque}"
    known = "{ var(txn.digest) -m found }"
    yield f"http-request set-var(txn.network) var(txn.source),ipmask(32,64) if {known}"
    for condition in conditions:
        yield ask(f"!{{ var(txn.token) -m beg {_SERVICES} }} {condition}".rstrip())


def lookup_frontend(socket: str) -> Iterator[str]:
    """Where lookups come in: a socket of the pod's own, at which there is nothing else."""
    yield f"bind {socket} mode 600"
    yield "no log"
    yield "timeout client 5s"
    yield f"http-request deny deny_status 404 unless METH_GET {{ path {PATH} }}"
    yield f"use_backend {WHOAMI}"


def lookup_rules() -> Iterator[str]:
    """Lookups are not held, and their answers become short: a user, or none.

    Processes answer as they like, but nothing that is large, slow or malformed gets past these.
    """
    yield "retries 2"
    yield "option redispatch 1"
    yield "timeout queue 1s"
    yield "http-response wait-for-body time 1s"
    yield """http-response set-var(txn.user) 'res.body,json_query("$.user_id")'"""
    yield (
        "http-response return status 200 content-type text/plain lf-string '%[var(txn.user)]' "
        "if { status 200 } { var(txn.user) -m len gt 0 }"
    )
    yield "http-response return status 401 if { status 400:499 }"
    yield "http-response return status 502"
