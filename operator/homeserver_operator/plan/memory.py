"""Notes on each Deployment which revision served last, which Kubernetes forgets with the next one.

Who has served waits for consent also while nobody of it is ready; who never did has nothing to
lose. It is written by itself, whether or not anything else may be.
"""

from collections.abc import Iterable, Iterator

from homeserver_operator.api.actions import Amend
from homeserver_operator.api.names import NONE_SERVED, SERVED_ANNOTATION
from homeserver_operator.api.observed import key_of
from homeserver_operator.plan.rollout import Rollout


def noted(rollouts: Iterable[Rollout]) -> Iterator[Amend]:
    """What is to be noted now."""
    for rollout in rollouts:
        word = _word(rollout)
        if rollout.live and word not in {None, rollout.noted}:
            yield Amend(
                key_of(rollout.live),
                rollout.live["metadata"]["uid"],
                None,
                {"annotations": {SERVED_ANNOTATION: word}},
                "it has no pods" if word == NONE_SERVED else f"{word} serves",
            )


def _word(rollout: Rollout) -> str | None:
    """None if the note is to stay, also while two revisions serve."""
    if rollout.live is None or rollout.wanted is None or len(rollout.serving) > 1:
        return None
    if rollout.serving:
        return next(iter(rollout.serving))
    stopped = not rollout.live["spec"].get("replicas", 1) and not rollout.alive
    return NONE_SERVED if stopped else None
