"""The Deployment of one process as it is to be written now: what is wanted, and what is under way.

Its pod template is what is wanted already; nothing here may change that.
"""

from typing import Any, Final

from homeserver_operator.api.names import NONE_SERVED, SERVED_ANNOTATION
from homeserver_operator.api.world import Object
from homeserver_operator.plan.restarting import Restarts
from homeserver_operator.plan.rollout import Rollout, revision_of

_ALL: Final = "100%"


def written_now(process: str, manifest: Object, restarts: Restarts) -> Object:
    """With how far its new pods may outnumber the old, and the memory of who served."""
    return _remembering(_surging(process, manifest, restarts), restarts.rollouts[process])


def _surging(process: str, manifest: Object, restarts: Restarts) -> Object:
    """In a switch all new pods of a group are there before the first old one goes.

    It is put back when they serve, so that nothing is written while people wait.
    """
    rollout = restarts.rollouts[process]
    switches = restarts.switch is not None and process in restarts.switch.members
    surges = rollout.live is not None and _surge(rollout.live) == _ALL and not rollout.settled
    if rollout.replicas < 2 or not (switches or surges):
        return manifest
    strategy = manifest["spec"]["strategy"]
    rolling = {**strategy["rollingUpdate"], "maxSurge": _ALL}
    return {
        **manifest,
        "spec": {**manifest["spec"], "strategy": {**strategy, "rollingUpdate": rolling}},
    }


def _surge(deployment: Object) -> Any:
    return deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge")


def _remembering(manifest: Object, rollout: Rollout) -> Object:
    served = _served(rollout)
    if served is None:
        return manifest
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), SERVED_ANNOTATION: served}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _served(rollout: Rollout) -> str | None:
    """What is to be remembered of the pods that live now; None if nothing is.

    It changes only with what is written anyway, except for who started from nothing and serves.
    """
    if rollout.live is None:
        return None
    if not rollout.live["spec"].get("replicas", 1) and (rollout.changed or rollout.replicas):
        return NONE_SERVED
    if rollout.noted == NONE_SERVED:
        return None if rollout.alive else NONE_SERVED
    if rollout.changed and rollout.proven:
        return revision_of(rollout.live)
    return rollout.noted
