"""Whether a homeserver stays with what another operator rendered, or moves to what this one does.

An upgrade of the operator restarts nothing by itself. Another rendering needs a restart, and often
another runtime image, so the two move together and everywhere at once: with the first edit that
concerns a process, or with an approval. Until then pods keep the bytes that they have, and all else
is done as usual (`plan.held`). Another default image alone waits for an approval.

This only decides. It knows nothing of when restarts may happen, which is `plan.consent`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from homeserver_operator.api.canonical import digest
from homeserver_operator.api.observed import key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.images import default_image_of
from homeserver_operator.build.rendering import RENDERING, rendering_of
from homeserver_operator.fences import marks_of
from homeserver_operator.plan.rollout import revision_of
from homeserver_operator.plan.rollouts import live_deployments


class Standing(Enum):
    """How what runs stands to this operator."""

    CURRENT = auto()
    """It is of this operator."""
    HELD = auto()
    """It is of another rendering, and keeps its pod templates."""
    BEHIND = auto()
    """It is of this rendering with another default image, which it keeps."""
    MOVING = auto()
    """It is on the way to this operator's rendering and image."""


@dataclass(frozen=True)
class Release:
    """The answer.

    `plan` is the id of the plan that moves it, `restarts` those whose pods that replaces,
    `renderings` those that live. `note` has to be known at the next look (`status.release`).
    """

    standing: Standing
    plan: str = ""
    restarts: tuple[str, ...] = ()
    renderings: tuple[str, ...] = ()
    note: Mapping[str, Any] | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is left to move."""
        return self.standing is Standing.CURRENT


def plan_id(manifests: Manifests) -> str:
    """The name of a plan, which is for these revisions and no others."""
    return digest(_revisions(_workloads(manifests)))


def _revisions(workloads: Mapping[str, Object]) -> dict[str, str | None]:
    return {name: revision_of(workload) for name, workload in workloads.items()}


def find_release(
    server: HomeServer,
    newest: Manifests,
    world: World,
    status: Mapping[str, Any],
    image: str,
) -> Release:
    """Decide. `newest` is what this operator makes of the spec with its default `image`."""
    everybody = live_deployments(server, world)
    live = {name: everybody[name] for name in newest.synapse if name in everybody}
    # What has lost its annotation says nothing, unless nothing says anything.
    renderings = {rendering_of(each) for each in live.values()}
    renderings = renderings - {None} or renderings
    images = set() if server.image else {default_image_of(each) for each in live.values()} - {None}
    if not live or (renderings == {str(RENDERING)} and images <= {image}):
        return Release(Standing.CURRENT)
    beside = {
        name: there
        for name, each in newest.beside.items()
        if (there := world.children.get(key_of(each)))
    }
    revisions, wanted = _revisions(live | beside), _revisions(_workloads(newest))
    restarts = tuple(name for name in wanted if revisions.get(name, wanted[name]) != wanted[name])
    missing = newest.synapse.keys() - live.keys()
    if not restarts and not missing:
        # Nobody notices.
        return Release(Standing.CURRENT)
    of_this = {"rendering": RENDERING, "image": image}
    told = status.get("release", {})
    noted = told.get("revisions") if of_this.items() <= told.items() else None
    found = Release(
        Standing.MOVING,
        plan_id(newest),
        restarts,
        tuple(sorted(each or "unknown" for each in renderings)),
        # Who moves does so by the plan that is told of; until that has begun it can be taken back.
        {**of_this, **({"revisions": noted} if noted else {})},
    )
    if server.approved_plan == found.plan or len(renderings) > 1 or len(images) > 1:
        # Of two releases at once, one must give way, whoever began it.
        return found
    waits = {**of_this, "plan": found.plan}
    if renderings == {str(RENDERING)}:
        return replace(found, standing=Standing.BEHIND, note=waits)
    if of_this.items() <= told.items():
        # Of what is no longer wanted nothing is asked.
        before = noted or {}
        edited = any(before.get(name) != revision for name, revision in wanted.items())
    else:
        edited = _is_unfinished(server, status, revisions)
    if edited or missing or not _agree(live):
        return found
    return replace(found, standing=Standing.HELD, note={**waits, "revisions": wanted})


def _is_unfinished(
    server: HomeServer, status: Mapping[str, Any], revisions: Mapping[str, str | None]
) -> bool:
    """Whether an edit was made, or not yet carried out, when the operator was another one.

    A status that is lost tells nothing; then nothing restarts.
    """
    seen = status.get("observedGeneration", server.generation)
    under_way = status.get("plan", {}).get("id")
    return seen != server.generation or under_way not in {None, digest(revisions)}


def _agree(live: Mapping[str, Object]) -> bool:
    """Whether the templates are all of the same epochs, so that they can run together."""
    marks = {
        item
        for deployment in live.values()
        for item in marks_of(deployment["spec"]["template"]).items()
    }
    return len(marks) == len({fence for fence, _mark in marks})


def _workloads(manifests: Manifests) -> dict[str, Object]:
    return {**manifests.synapse, **manifests.beside}
