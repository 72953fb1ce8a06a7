"""Plain requests through the Ingress, for what needs no Matrix client."""

from __future__ import annotations

import http.client
from collections.abc import Iterable

from e2e.product.kube import eventually

PATHS = (
    "/_matrix/client/versions",
    "/_matrix/client/v3/login",
    "/_matrix/client/v3/sync",
    "/_matrix/client/v3/pushrules/",
    "/_matrix/client/v1/media/config",
)
"""One path for each kind of backend that the example has."""

_NOBODY = frozenset({0, 404, 502, 503, 504})


def status(ingress: str, host: str, path: str) -> int:
    """The status of a GET without credentials; 0 if nobody listens."""
    connection = http.client.HTTPConnection(ingress, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def wait_answering(ingress: str, host: str, paths: Iterable[str] = PATHS) -> None:
    """Wait until Synapse, and not the ingress controller, answers on every path.

    Controllers learn of ready pods a moment after the API server does.
    """
    eventually(
        lambda: {path: status(ingress, host, path) for path in paths},
        lambda seen: not _NOBODY & set(seen.values()),
        what="an answer through the Ingress",
        seconds=60,
    )
