"""Rules over the way in: Ingress annotations that would undo the routing."""

from collections.abc import Iterator
from typing import Final

from homeserver_operator.api.spec import HomeServer

_PREFIX: Final = "nginx.ingress.kubernetes.io/"

OWNED: Final = {
    f"{_PREFIX}use-regex": "every path is a regular expression",
    f"{_PREFIX}rewrite-target": "Synapse needs the paths as they come",
    f"{_PREFIX}service-upstream": "it follows from the number of processes behind a route",
    f"{_PREFIX}upstream-hash-by": "it follows from the kind of route",
}


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `spec.ingress` (one sentence each)."""
    for annotation in sorted(server.ingress.annotations):
        if reason := OWNED.get(annotation):
            path = f"spec.ingress.annotations[{annotation}]"
            yield f"{path} is the operator's, because {reason}: remove it"
