"""The route table in the dialect of HAProxy Ingress (haproxy-ingress.github.io).

Patterns there are case-sensitive, anchored at the start only, matched against the raw path, longest
first; but every other type of path of the same host comes before them, so main's paths are
patterns, too. It can say neither methods nor query conditions, and hashes by the whole
Authorization header.
"""

import re
from typing import Final

from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects.ingress import Annotations, IngressDialect
from homeserver_operator.routes.reduction import Capabilities

PREFIX: Final = "haproxy-ingress.github.io/"

_SERVICE_UPSTREAM: Final = {f"{PREFIX}service-upstream": "true"}


def _row(pattern: str) -> str:
    return f"{pattern}$"


def _prefix(path: str) -> str:
    return f"{re.escape(path)}/"


def _limits(read_timeout: int, max_body_size: str) -> Annotations:
    return {
        f"{PREFIX}timeout-server": f"{read_timeout}s",
        f"{PREFIX}proxy-body-size": "unlimited" if max_body_size == "0" else max_body_size.lower(),
    }


def _annotations(target: Target, max_body_size: str) -> Annotations:
    annotations = {
        f"{PREFIX}path-type": "regex",
        **_limits(target.route_class.read_timeout, max_body_size),
    }
    if target.single:
        return annotations | _SERVICE_UPSTREAM
    if target.route_class.hash_by == "user":
        return annotations | {f"{PREFIX}balance-algorithm": "hdr(Authorization)"}
    return annotations


DIALECT: Final = IngressDialect(
    can=Capabilities(
        methods=False,
        without_query=False,
        query=False,
        hash_by={"user": "access token"},
        read_timeout=True,
        body_size=True,
    ),
    row=_row,
    prefix=_prefix,
    ours=_annotations,
    limits=_limits,
    plain=_SERVICE_UPSTREAM,
)
