"""The route table in Traefik's own annotations on Ingress objects.

Patterns there are RE2 searches in the path as it comes, so they are anchored here; the priority of
an object decides, not the length of its patterns. It can say neither methods nor query conditions,
nor hash. Traefik waits for answers as long as they take, and lets bodies of any size through.
"""

import re
from typing import Final

from homeserver_operator.routes import Target
from homeserver_operator.routes.dialects.ingress import Annotations, IngressDialect
from homeserver_operator.routes.reduction import Capabilities

PREFIX: Final = "traefik.ingress.kubernetes.io/"

# Without a priority a rule has that of its length in letters; these are above a website's.
MAIN_PRIORITY: Final = 1000
WORKER_PRIORITY: Final = 2000

# An Ingress' path must begin with a slash, and the expression at the beginning of the path.
_START: Final = "/{0}^"


def _row(pattern: str) -> str:
    return f"{_START}{pattern}$"


def _prefix(path: str) -> str:
    return f"{_START}{re.escape(path)}/"


def _priority(value: int) -> Annotations:
    return {f"{PREFIX}router.priority": str(value)}


def _limits(_read_timeout: int, _max_body_size: str) -> Annotations:
    return _priority(MAIN_PRIORITY)


def _annotations(target: Target, _max_body_size: str) -> Annotations:
    return {
        f"{PREFIX}router.pathmatcher": "PathRegexp",
        **_priority(MAIN_PRIORITY if target.is_main else WORKER_PRIORITY),
    }


DIALECT: Final = IngressDialect(
    can=Capabilities(
        methods=False, without_query=False, query=False, read_timeout=True, body_size=False
    ),
    row=_row,
    prefix=_prefix,
    ours=_annotations,
    limits=_limits,
    plain=_priority(MAIN_PRIORITY),
    tls={f"{PREFIX}router.tls": "true"},
    on_service={f"{PREFIX}service.nativelb": "true"},
)
