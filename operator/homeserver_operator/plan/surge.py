"""How far the new pods of a group may outnumber the old ones."""

from typing import Any, Final

from homeserver_operator.api.world import Object
from homeserver_operator.plan.restarting import Restarts

_ALL: Final = "100%"


def surging(process: str, manifest: Object, restarts: Restarts) -> Object:
    """The Deployment of a process, with as many new pods at once as there are to be in a switch.

    All of a group are there before the first old one goes then. It is put back when they serve, so
    that nothing is written while people wait.
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
