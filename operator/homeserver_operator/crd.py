"""Refuses to run on a CRD that is older than this operator.

Helm never upgrades the CRDs of a chart's `crds/` folder, and an old schema would silently prune the
fields that this operator writes and reads.
"""

import asyncio
import logging
from typing import Final

from homeserver_operator.api.names import (
    CRD_REVISION,
    CRD_REVISION_ANNOTATION,
    GROUP,
    PLURAL,
)
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.resources import CRD

NAME: Final = f"{PLURAL}.{GROUP}"

PAUSE: Final = 2.0
"""Seconds between attempts while the API server does not answer."""

log = logging.getLogger(__name__)


class CrdError(Exception):
    """The CRD is missing, or of an older revision than the operator needs."""


async def check(cluster: Cluster) -> None:
    """Raise CrdError unless the cluster's CRD is at least of our revision.

    Waits for an API server that does not answer: ending would only make the kubelet's pauses
    between restarts longer than the outage. Raises ApiError if it refuses.
    """
    while True:
        try:
            crd = await cluster.get(CRD, None, NAME, metadata_only=True)
            break
        except ApiError as error:
            if 400 <= error.status < 500:
                raise
            log.warning("waiting for the API server: %s", error)
            await asyncio.sleep(PAUSE)
    if crd is None:
        msg = f"the CRD {NAME} is not installed: helm install it, or kubectl apply -f crds/"
        raise CrdError(msg)
    revision = (crd["metadata"].get("annotations") or {}).get(CRD_REVISION_ANNOTATION, "")
    if not revision.isdigit() or int(revision) < CRD_REVISION:
        msg = (
            f"the CRD is older than this operator (revision {revision or 'none'}, needed "
            f"{CRD_REVISION}): helm upgrade, or kubectl apply -f crds/"
        )
        raise CrdError(msg)
