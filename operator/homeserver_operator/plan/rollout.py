"""One Synapse process as it is wanted and as it runs: Deployment, ReplicaSets and pods as one.

Facts only; what follows from them is decided elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from homeserver_operator.api.names import NONE_SERVED, REVISION_LABEL, SERVED_ANNOTATION
from homeserver_operator.api.observed import has_ready, is_ready
from homeserver_operator.api.world import Object
from homeserver_operator.fences import Mark, marks_of


@dataclass(frozen=True)
class Rollout:
    """One process.

    `wanted` is None for one that is to go, `live` for one that is to come. `current` is the
    ReplicaSet of the live Deployment's template, `old` are the others that still are to have pods.
    `pods` are the current one's that are to stay, `leaving` all of the process that end, `serving`
    the revisions of those that are ready and do not.
    """

    process: str
    wanted: Object | None
    live: Object | None
    current: Object | None
    old: tuple[Object, ...]
    pods: tuple[Object, ...]
    leaving: tuple[Object, ...] = ()
    serving: frozenset[str | None] = frozenset()

    @property
    def changed(self) -> bool:
        """Whether the live Deployment is of another revision than the wanted one."""
        return (
            self.wanted is not None
            and self.live is not None
            and revision_of(self.wanted) != revision_of(self.live)
        )

    @property
    def applied(self) -> bool:
        """Whether the live Deployment is of the wanted revision."""
        return self.wanted is not None and self.live is not None and not self.changed

    @property
    def outdated(self) -> tuple[Object, ...]:
        """The ReplicaSets whose pods are to go when there are new ones."""
        goes = self.changed or self.ends
        return (*self.old, *([self.current] if self.current and goes else []))

    @property
    def replicas(self) -> int:
        """How many pods there are to be."""
        if self.wanted and "replicas" in self.wanted["spec"]:
            return int(self.wanted["spec"]["replicas"])
        return int(self.live["spec"].get("replicas", 1)) if self.live else 1

    @property
    def fresh(self) -> int:
        """How many pods its start brings: none if an edit is taken back and the old ones live."""
        wanted = revision_of(self.wanted) if self.wanted else None
        there = sum(
            int(replica_set["spec"].get("replicas", 0))
            for replica_set in self.old
            if revision_of(replica_set) == wanted
        )
        return max(self.replicas - there, 0)

    @property
    def emptied(self) -> bool:
        """Whether a group that has pods is to have none, although it is still wanted."""
        there = self.live is not None and self.live["spec"].get("replicas", 1)
        return bool(there and self.wanted and not self.replicas)

    @property
    def ends(self) -> bool:
        """Whether a process goes, or a group is to have nobody."""
        return self.wanted is None or self.emptied

    @property
    def entering(self) -> bool:
        """Whether the pods of the live revision are just taking over from some that end."""
        return bool(self.leaving and not self.old and self.warm and not self.ready)

    @property
    def alive(self) -> bool:
        """Whether a pod of any revision is ready, so that there is something to lose."""
        return self.live is not None and has_ready(self.live)

    @property
    def established(self) -> bool:
        """Whether it serves, or did and is to: what is down for a moment comes back as it was."""
        return self.alive or self.down

    @property
    def down(self) -> bool:
        """Whether it has served and is to, and no pod is ready."""
        if self.live is None or self.alive or not self.live["spec"].get("replicas", 1):
            return False
        # Kubernetes tells of the live revision only, and of that not whether it had any pods.
        return _came_up(self.live) if self.noted is None else self.noted != NONE_SERVED

    @property
    def disturbed(self) -> bool:
        """Whether somebody who serves, or did and is to, ends or has a successor."""
        return self.established and (self.changed or bool(self.old)) and not self.taken_back

    @property
    def taken_back(self) -> bool:
        """Whether who serves, or did last, is as wanted, and all that ends has never served."""
        last = self.serving or {self.noted}
        return self.wanted is not None and last == {revision_of(self.wanted)}

    @property
    def noted(self) -> str | None:
        """Which revision served last, by the note on the Deployment (`plan.memory`), if any."""
        annotations = self.live["metadata"].get("annotations", {}) if self.live else {}
        return annotations.get(SERVED_ANNOTATION)

    @cached_property
    def ready(self) -> int:
        """How many current pods are ready."""
        return sum(is_ready(pod) for pod in self.pods)

    @cached_property
    def warm(self) -> int:
        """How many current pods have started: they serve, or wait with bound sockets."""
        return sum(is_warm(pod) for pod in self.pods)

    @cached_property
    def holding(self) -> tuple[Mapping[str, Mark], ...]:
        """The marks of everything that lives or is to live by what is live."""
        templates = [replica_set["spec"]["template"] for replica_set in self.old]
        if self.live and self.live["spec"].get("replicas", 1):
            templates.append(self.live["spec"]["template"])
        return tuple(marks_of(template) for template in templates)

    @property
    def settled(self) -> bool:
        """Whether a hand-over that has begun is over; what fails later does not undo that."""
        if not self.applied or self.live is None:
            return False
        observed = self.live.get("status", {}).get("observedGeneration")
        if observed != self.live["metadata"].get("generation"):
            return False
        return not self.old and (_came_up(self.live) or self.ready >= self.replicas)


def revision_of(workload: Object) -> str | None:
    """The revision of a Deployment's or ReplicaSet's pods."""
    labels: Mapping[str, str] = workload["spec"]["template"]["metadata"].get("labels", {})
    return labels.get(REVISION_LABEL)


def is_warm(pod: Object) -> bool:
    """Whether its container has passed the startup probe."""
    containers = pod.get("status", {}).get("containerStatuses", ())
    return bool(containers) and all(container.get("started") for container in containers)


def _came_up(deployment: Object) -> bool:
    """Whether all pods of its revision were available once; what fails later does not undo that."""
    conditions = {item["type"]: item for item in deployment.get("status", {}).get("conditions", ())}
    return bool(conditions.get("Progressing", {}).get("reason") == "NewReplicaSetAvailable")
