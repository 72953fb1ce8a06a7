"""Which rendering the pods of a Deployment are of, as an annotation beside their template.

The rendering is everything that makes a spec into the bytes that a process reads, and into its pod
template. It is released with the runtime image that reads those bytes. What follows from another
rendering is decided in `plan.release`.
"""

from typing import Any, Final

from homeserver_operator.api.names import RENDERING_ANNOTATION
from homeserver_operator.api.world import Object

RENDERING: Final = 1
"""Raised whenever the same spec comes to mean other bytes (operator/tests/core/rendering.lock).

Then what runs keeps its bytes until its owner edits or approves. What leads to pods and limits them
is not kept for them, so ports, and labels that policies select by, may only be added to.
"""


def with_rendering(deployment: dict[str, Any]) -> dict[str, Any]:
    """The Deployment with the rendering of its template."""
    metadata = deployment["metadata"]
    annotations = {**metadata.get("annotations", {}), RENDERING_ANNOTATION: str(RENDERING)}
    return deployment | {"metadata": {**metadata, "annotations": annotations}}


def rendering_of(workload: Object) -> str | None:
    """The rendering of a live Deployment, or of a ReplicaSet; None before they were counted."""
    found: str | None = workload["metadata"].get("annotations", {}).get(RENDERING_ANNOTATION)
    return found
