"""What each controller's manual says of routing, as small matchers over Kubernetes objects.

Each answers which Service gets a request, None for a 404 of the controller's own. They share
nothing with the code that writes the objects.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from tests.core.requests import Request

from homeserver_operator.api.world import Object


class Matcher(Protocol):
    """Answers for the objects of one host."""

    def service_of(self, request: Request) -> str | None:
        """The Service that gets a request."""


class IngressPath(NamedTuple):
    """One path of an Ingress object."""

    path: str
    path_type: str
    service: str
    ingress: Object


def ingress_paths(ingresses: Iterable[Object], host: str) -> Iterator[IngressPath]:
    """Every path of a host."""
    for ingress in ingresses:
        for rule in ingress["spec"]["rules"]:
            if rule["host"] == host:
                for path in rule["http"]["paths"]:
                    service = path["backend"]["service"]["name"]
                    yield IngressPath(path["path"], path["pathType"], service, ingress)
