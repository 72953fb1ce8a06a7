"""How far the workloads are: counts by group, and what keeps the rest from being ready."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from homeserver_operator.api.names import PROCESS_LABEL, REVISION_LABEL, WORKER_GROUP_LABEL
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.plan.trouble import Trouble, trouble, trouble_with_pods


@dataclass(frozen=True)
class Progress:
    """One Deployment: how many pods it should have, has ready, and has of its last template."""

    process: str
    group: str
    revision: str | None
    desired: int
    ready: int
    updated: int

    @property
    def done(self) -> bool:
        """Whether every pod is there, ready and of the last template."""
        return self.ready >= self.desired and self.updated >= self.desired


def progress(wanted: Mapping[str, Object], world: World) -> tuple[Progress, ...]:
    """The progress of each wanted Deployment, by process name."""
    return tuple(_progress(process, manifest, world) for process, manifest in wanted.items())


def _progress(process: str, manifest: Object, world: World) -> Progress:
    labels = manifest["metadata"]["labels"]
    live = world.children.get(ObjectKey("Deployment", manifest["metadata"]["name"]))
    replicas = manifest["spec"].get("replicas")
    if replicas is None:
        replicas = live["spec"].get("replicas", 1) if live else 1
    status = live.get("status", {}) if live else {}
    current = (
        live is not None
        and status.get("observedGeneration") == live["metadata"].get("generation")
        and _revision(live) == _revision(manifest)
    )
    ready = status.get("readyReplicas", 0)
    updated = status.get("updatedReplicas", 0) if current else 0
    # Old pods that are still there must not pass for the new ones.
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return Progress(
        process=process,
        group=labels.get(WORKER_GROUP_LABEL, process),
        revision=_revision(manifest),
        desired=replicas,
        ready=ready,
        updated=min(updated, ready) if settled else min(updated, replicas - 1),
    )


def _revision(deployment: Object) -> str | None:
    labels: Mapping[str, str] = deployment["spec"]["template"]["metadata"].get("labels", {})
    return labels.get(REVISION_LABEL)


def troubles(missing: Iterable[Progress], world: World) -> Iterator[Trouble]:
    """What keeps pods of the wanted revisions from working, those that need people first.

    Pods of older revisions are on their way out, whatever is wrong with them.
    """
    wanted = {(item.process, item.revision) for item in missing}
    found = [
        problem
        for _name, pod in sorted(world.of_kind("Pod").items())
        if _process_and_revision(pod) in wanted and (problem := trouble(pod))
    ]
    found += [
        problem
        for replica_set in world.replica_sets
        if _process_and_revision(replica_set) in wanted
        and (problem := trouble_with_pods(replica_set))
    ]
    yield from sorted(found, key=lambda problem: not problem.needs_people)


def troubles_of(processes: Collection[str], world: World) -> Iterator[Trouble]:
    """What is wrong with pods of these processes, of whichever revision."""
    for _name, pod in sorted(world.of_kind("Pod").items()):
        if _process_and_revision(pod)[0] in processes and (problem := trouble(pod)):
            yield problem


def _process_and_revision(labelled: Object) -> tuple[str | None, str | None]:
    labels: Mapping[str, str] = labelled["metadata"].get("labels", {})
    return labels.get(PROCESS_LABEL), labels.get(REVISION_LABEL)
