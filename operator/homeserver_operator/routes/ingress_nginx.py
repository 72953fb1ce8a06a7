"""The route table in the dialect of ingress-nginx, which Traefik's namesake provider serves too.

Patterns there are case-insensitive, anchored at the start only, matched against the decoded path,
longest first. It can say neither methods nor query conditions, so narrow rows are left out. Nor can
it hash by user or room: only by the whole Authorization header.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from homeserver_operator.api.names import MAIN
from homeserver_operator.routes import Target

_PREFIX = "nginx.ingress.kubernetes.io/"

MAIN_PATHS = ("/_matrix/.*", "/_synapse/client/.*", "/\\.well-known/matrix/.*")
ADMIN_PATHS = ("/_synapse/admin/.*",)


@dataclass(frozen=True)
class IngressRules:
    """One Ingress object: paths that share annotations, all to one client Service."""

    route_class: str
    paths: tuple[str, ...]
    annotations: dict[str, str]


def compile_rules(
    targets: tuple[Target, ...], *, admin_api: bool, max_body_size: str
) -> Iterator[IngressRules]:
    """One set of rules per class that workers answer, and one for main, which has the rest."""
    for target in targets:
        paths = tuple(f"{route.pattern}$" for route in target.routes if not route.narrow)
        if target.has_own_service and paths:
            yield IngressRules(target.route_class.name, paths, _annotations(target, max_body_size))
    yield IngressRules(
        MAIN,
        MAIN_PATHS + (ADMIN_PATHS if admin_api else ()),
        _common(180, max_body_size) | _SERVICE_UPSTREAM,
    )


_SERVICE_UPSTREAM = {
    # One process behind it: its Service's address outlives its pods, while a controller learns of
    # a new pod's address a moment too late.
    f"{_PREFIX}service-upstream": "true",
}


def _annotations(target: Target, max_body_size: str) -> dict[str, str]:
    annotations = _common(target.route_class.read_timeout, max_body_size)
    if target.single:
        return annotations | _SERVICE_UPSTREAM
    if target.route_class.hash_by == "user":
        # The whole header keeps a device, not a user, on one worker; that is as far as it goes.
        return annotations | {f"{_PREFIX}upstream-hash-by": "$http_authorization"}
    return annotations


def _common(read_timeout: int, max_body_size: str) -> dict[str, str]:
    return {
        f"{_PREFIX}use-regex": "true",
        f"{_PREFIX}proxy-read-timeout": str(read_timeout),
        f"{_PREFIX}proxy-send-timeout": str(read_timeout),
        f"{_PREFIX}proxy-body-size": max_body_size,
    }
