"""Which processes' new inputs must be judged before their pods may change, and the verdict.

Only processes that exist already are held: a new homeserver has nothing to lose, and its pods say
themselves what is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.preflight import build_preflight
from homeserver_operator.plan.difference import stamp, stamped_alike
from homeserver_operator.plan.trouble import Trouble, trouble

PREFLIGHT_FAILED = "PreflightFailed"


class Verdict(Enum):
    """How far the preflight is."""

    NOT_NEEDED = auto()
    WAITING = auto()
    PASSED = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Preflight:
    """The pod that judges (None if not needed), its verdict, whom it judges, what went wrong."""

    verdict: Verdict
    pod: Object | None = None
    processes: tuple[str, ...] = ()
    trouble: Trouble | None = None

    @property
    def holds(self) -> bool:
        """Whether the live revision must stay for now."""
        return self.verdict in {Verdict.WAITING, Verdict.FAILED}


def assess(server: HomeServer, manifests: Manifests, world: World) -> Preflight:
    """Decide whether a preflight is needed, and read its outcome."""
    processes = tuple(
        name for name, wanted in manifests.synapse.items() if _inputs_change(wanted, world)
    )
    if not processes:
        return Preflight(Verdict.NOT_NEEDED)
    # All are judged, not only those that change: so the pod's name, and with it the verdict, stays
    # the same while the changed ones are replaced one after the other.
    pod = build_preflight(
        server,
        tuple(manifests.synapse),
        image=manifests.images.synapse,
        pull_policy=manifests.images.pull_policy,
        mounts=manifests.mounts,
    )
    live = world.children.get(ObjectKey("Pod", pod["metadata"]["name"]))
    if live is None:
        return Preflight(Verdict.WAITING, pod, processes)
    if live.get("status", {}).get("phase") == "Succeeded":
        return Preflight(Verdict.PASSED, pod, processes)
    found = trouble(live)
    if live.get("status", {}).get("phase") == "Failed" and (not found or not found.needs_people):
        text = found.message if found else f"pod {pod['metadata']['name']} failed"
        remedy = f"{text}. Delete the pod to try again"
        found = Trouble(PREFLIGHT_FAILED, remedy, needs_people=True)
    verdict = Verdict.FAILED if found and found.needs_people else Verdict.WAITING
    return Preflight(verdict, pod, processes, found)


def _inputs_change(wanted: Object, world: World) -> bool:
    live = world.children.get(ObjectKey("Deployment", wanted["metadata"]["name"]))
    if live is None or stamped_alike(stamp(wanted), live):
        # Drift is put back at once: what we put back was judged before.
        return False
    return _inputs(wanted["spec"]["template"]) != _inputs(live["spec"]["template"])


def _inputs(template: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """What a process is made of: its image, its files, its secrets."""
    spec = template["spec"]
    images = {("image", container.get("image", "")) for container in spec["containers"]}
    config_maps = {
        ("configMap", volume["configMap"].get("name", ""))
        for volume in spec.get("volumes", ())
        if "configMap" in volume
    }
    secrets = {
        ("secret", volume["secret"].get("secretName", ""))
        for volume in spec.get("volumes", ())
        if "secret" in volume
    }
    return frozenset(images | config_maps | secrets)
