"""Whose turn it is to warm up: few new pods at a time beside those that serve.

A pod that warms up takes processor time from those that serve, and before the hand-over nobody is
in a hurry. Read from what lives, like everything here. This only tells who has to wait; whether
anybody may start at all is decided elsewhere.
"""

from collections.abc import Iterable, Mapping

from homeserver_operator.plan.rollout import Rollout


def find_queue(
    wave: Iterable[str], rollouts: Mapping[str, Rollout], warm: frozenset[str], most: int
) -> tuple[str, ...]:
    """Processes of a wave whose new pods have to wait until those of others are warm.

    At most so many pods warm up at the same time. A process starts as a whole: one of more pods has
    its turn when nobody else warms up. Where nobody serves, nobody has to wait.
    """
    if not any(rollout.alive for rollout in rollouts.values()):
        return ()
    starting = [
        rollouts[process]
        for process in wave
        if rollouts[process].changed or (rollouts[process].wanted and not rollouts[process].live)
    ]
    cold = {process: 0 if process in warm else _cold(rollouts[process]) for process in wave}
    # What has nobody left does not wait for others, but others for it.
    cold |= {each.process: each.fresh for each in starting if _is_down(each)}
    queue = []
    for rollout in starting:
        if _is_down(rollout):
            continue
        fresh = rollout.fresh
        others = sum(cold.values()) - cold[rollout.process]
        # Pods in place of cold ones are no more than there are, whatever may warm up by now.
        if fresh > cold[rollout.process] and others and others + fresh > most:
            queue.append(rollout.process)
        else:
            cold[rollout.process] = fresh
    begun = any(cold[process] and rollouts[process].applied for process in wave)
    if not begun and len(queue) == len(starting):
        # All that is cold is of an earlier edit, which need not ever get warm.
        queue = queue[1:]
    return tuple(queue)


def _is_down(rollout: Rollout) -> bool:
    """Whether a process that was there does not serve. One that is new is missed by nobody."""
    return rollout.live is not None and not rollout.alive


def _cold(rollout: Rollout) -> int:
    """How many pods of a process warm up, or are about to."""
    if rollout.applied:
        return max(rollout.replicas - rollout.warm, 0)
    if rollout.live and rollout.old:
        # Those of an earlier edit, which its start replaces.
        return max(int(rollout.live["spec"].get("replicas", 1)) - rollout.warm, 0)
    return 0
