"""The route table in the dialect of ingress-nginx, which Traefik's namesake provider serves too.

Patterns there are case-insensitive, anchored at the start only, matched against the decoded path,
longest first. It can say neither methods nor query conditions, so narrow rows are left out. Nor can
it hash by user or room: only by the whole Authorization header.
"""

from typing import Final

from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects.ingress import Annotations, IngressDialect
from homeserver_operator.routes.reduction import Capabilities

PREFIX: Final = "nginx.ingress.kubernetes.io/"

_SERVICE_UPSTREAM: Final = {
    # One process behind it: its Service's address outlives its pods, while a controller learns of
    # a new pod's address a moment too late.
    f"{PREFIX}service-upstream": "true",
}


def _row(pattern: str) -> str:
    return f"{pattern}$"


def _prefix(path: str) -> str:
    return f"{path.replace('.', chr(92) + '.')}/.*"


def _limits(read_timeout: int, max_body_size: str) -> Annotations:
    return {
        f"{PREFIX}proxy-read-timeout": str(read_timeout),
        f"{PREFIX}proxy-send-timeout": str(read_timeout),
        f"{PREFIX}proxy-body-size": max_body_size,
    }


def _annotations(target: Target, max_body_size: str) -> Annotations:
    annotations = {
        f"{PREFIX}use-regex": "true",
        **_limits(target.route_class.read_timeout, max_body_size),
    }
    if target.single:
        return annotations | _SERVICE_UPSTREAM
    if target.route_class.hash_by == "user":
        # The whole header keeps a device, not a user, on one worker; that is as far as it goes.
        return annotations | {f"{PREFIX}upstream-hash-by": "$http_authorization"}
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
    # No expressions here: they would turn all paths of a host into expressions, a website's too.
    plain=_SERVICE_UPSTREAM,
)
