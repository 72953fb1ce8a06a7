"""What people are told of an upgrade of the operator that has not reached the pods."""

from typing import Any

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.words import listed
from homeserver_operator.build import Manifests
from homeserver_operator.build.rendering import RENDERING
from homeserver_operator.plan.release import Release, Standing
from homeserver_operator.status.conditions import UP_TO_DATE, Condition

_MOST = 8


def release_status(release: Release) -> dict[str, Any]:
    """The field of the status: what the pods are to move to, and by which plan."""
    return {"release": dict(release.note)} if release.note else {}


def up_to_date(server: HomeServer, release: Release, manifests: Manifests) -> Condition:
    """Whether pods are what this operator makes of the spec. If not, nothing is wrong."""
    if release.up_to_date:
        text = "pods run what this operator renders"
        return Condition(UP_TO_DATE, True, "UpToDate", text)
    change = _change(server, release, manifests)
    if release.standing is Standing.MOVING:
        return Condition(UP_TO_DATE, False, "Moving", f"on the way: {change}; see the plan")
    name = server.key.name
    ways = f"to move, run `kubectl homeserver approve {name}` (plan {release.plan})"
    if release.standing is Standing.HELD:
        ways += ", or change the spec: the next edit that restarts a process moves all of them"
    else:
        ways += ", or set spec.image"
    restarting = listed(release.restarts, _MOST, ", ")
    text = (
        f"an upgrade of the operator waits: {change}. Nothing restarts by itself; then "
        f"{restarting} would restart. {ways[0].upper()}{ways[1:]}"
    )
    return Condition(UP_TO_DATE, False, "UpgradeWaits", text)


def _change(server: HomeServer, release: Release, manifests: Manifests) -> str:
    changes = []
    if release.renderings != (str(RENDERING),):
        old = " and ".join(release.renderings)
        changes.append(f"rendering {old} becomes {RENDERING}")
    image = (release.note or {}).get("image")
    if server.image:
        # The other half of the release is in somebody else's hands.
        if changes:
            changes.append(
                f"spec.image stays {server.image}: see that it is of a release with this rendering "
                f"(the operator's default is {image})"
            )
    elif image != manifests.images.synapse:
        changes.append(f"image {manifests.images.synapse} becomes {image}")
    return ", ".join(changes) or "the rest of it follows"
