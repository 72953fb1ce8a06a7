"""Claims of volumes, which the API server lets grow and never shrink."""

from homeserver_operator.api.quantities import quantity
from homeserver_operator.api.world import Object


def not_smaller(claim: Object, live: Object) -> Object:
    """The claim, with as much as the live one asks for where that is more.

    People and autoresizers enlarge claims by hand. To ask for less is refused, and everything that
    comes after volumes would wait for it.
    """
    wanted, there = quantity(_size(claim)), quantity(_size(live))
    if wanted is None or there is None or there <= wanted:
        return claim
    resources = claim["spec"]["resources"]
    requests = {**resources["requests"], "storage": _size(live)}
    return {**claim, "spec": {**claim["spec"], "resources": {**resources, "requests": requests}}}


def _size(claim: Object) -> object:
    return claim["spec"].get("resources", {}).get("requests", {}).get("storage")
