"""From worker groups to processes: who exists, what each is called, who writes and runs what.

Pure data about one homeserver. It knows Synapse's rules about instances (synapse/config/workers.py
of 1.163.2), nothing of YAML, routes or Kubernetes objects.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from homeserver_operator.api.groups import ProcessOptions, WorkerGroup
from homeserver_operator.api.names import MAIN, MASTER
from homeserver_operator.api.roles import (
    MEDIA,
    MEDIA_BACKGROUND_JOBS,
    OUTBOUND_FEDERATION,
    QUARANTINED_MEDIA,
    SSO,
    STREAMS,
)
from homeserver_operator.api.spec import HomeServer


@dataclass(frozen=True)
class Process:
    """One Deployment of Synapse.

    `instance` is Synapse's worker name, None where each pod's own name serves (a group that only
    serves: nobody refers to its members, so they can come and go). `replicas` None leaves the
    number to whoever scales.
    """

    name: str
    group: str
    instance: str | None
    replicas: int | None
    serves: frozenset[str]
    writes: frozenset[str]
    runs: frozenset[str]
    appservices: frozenset[str]
    media_repository: bool
    options: ProcessOptions

    @property
    def is_main(self) -> bool:
        """Whether this is Synapse's main process."""
        return self.instance == MASTER

    @property
    def named(self) -> bool:
        """Whether other processes may refer to this one by name, so that it must be unique."""
        return self.instance is not None

    @property
    def replicating(self) -> bool:
        """Whether others call this process over HTTP replication.

        They call main, the writers of streams, and those that make their requests to other servers.
        """
        return self.is_main or bool(self.writes) or OUTBOUND_FEDERATION in self.runs


@dataclass(frozen=True)
class Topology:
    """All processes of a homeserver, main first, and the lists that Synapse shards over.

    Sharded lists are in a stable order (group name, then index), because Synapse takes
    sha256(key) modulo the list's length: their order is part of their meaning.
    """

    processes: tuple[Process, ...]
    writers: Mapping[str, tuple[str, ...]]
    runners: Mapping[str, tuple[str, ...]]

    @property
    def main(self) -> Process:
        """The main process."""
        return self.processes[0]

    @property
    def workers(self) -> tuple[Process, ...]:
        """Everything but the main process."""
        return self.processes[1:]

    @property
    def replicating(self) -> tuple[Process, ...]:
        """Those that others call over HTTP replication: the instance map's members."""
        return tuple(process for process in self.processes if process.replicating)

    def serving(self, endpoint_group: str) -> tuple[str, ...]:
        """Names of the worker groups that serve an endpoint group to everybody, sorted.

        Empty if all of them were scaled to nothing on purpose: then main has it again.
        """
        servers = [
            process
            for process in self.workers
            if endpoint_group in process.serves and not process.appservices
        ]
        if all(process.replicas == 0 for process in servers):
            return ()
        return tuple(sorted({process.group for process in servers}))

    def of_group(self, group: str) -> tuple[Process, ...]:
        """The processes of one group."""
        return tuple(process for process in self.processes if process.group == group)


def make_topology(server: HomeServer) -> Topology:
    """Lay out a valid HomeServer's processes."""
    groups = sorted(server.workers, key=lambda group: group.name)
    workers = _with_quarantine(process for group in groups for process in _processes(group))
    split_media = any(p.media_repository and p.replicas != 0 for p in workers)
    main = Process(
        name=MAIN,
        group=MAIN,
        instance=MASTER,
        replicas=1,
        serves=frozenset(),
        writes=frozenset(),
        runs=frozenset(),
        appservices=frozenset(),
        media_repository=not split_media,
        options=server.main,
    )
    return Topology(
        processes=(main, *workers),
        writers={
            stream: names
            for stream in STREAMS
            if (names := _instances(p for p in workers if stream in p.writes))
        },
        runners={
            duty: names
            for duty in sorted({duty for process in workers for duty in process.runs})
            if (names := _instances(p for p in workers if duty in p.runs))
        },
    )


def _with_quarantine(processes: Iterable[Process]) -> tuple[Process, ...]:
    """Have somebody write the stream of quarantined media who can.

    Synapse's default is main; without the media repository it answers no request that writes there,
    and the media repositories, which do, would answer 500. One is enough, and that one stays,
    however many others come and go: all would restart with a list of several.
    """
    found = tuple(processes)
    if any(QUARANTINED_MEDIA in process.writes and process.replicas != 0 for process in found):
        return found
    return tuple(
        replace(process, writes=process.writes | {QUARANTINED_MEDIA})
        if process.media_repository and MEDIA_BACKGROUND_JOBS in process.runs
        else process
        for process in found
    )


def _processes(group: WorkerGroup) -> tuple[Process, ...]:
    """Members that others refer to, or of which there is to be one, get a Deployment each.

    The others share one.
    """

    def process(
        name: str, instance: str | None, replicas: int | None, runs: frozenset[str]
    ) -> Process:
        return Process(
            name=name,
            group=group.name,
            instance=instance,
            replicas=replicas,
            serves=group.serves,
            writes=group.writes,
            runs=runs,
            appservices=group.appservices,
            media_repository=MEDIA in group.serves,
            options=group.options,
        )

    if not group.writes and not group.runs and SSO not in group.serves:
        return (process(group.name, None, group.replicas, group.runs),)
    count = 1 if group.replicas is None else group.replicas
    return tuple(
        process(
            f"{group.name}-{index}",
            f"{group.name}-{index}",
            1,
            # Exactly one media repository runs the background jobs.
            group.runs if index == 0 else group.runs - {MEDIA_BACKGROUND_JOBS},
        )
        for index in range(count)
    )


def _instances(processes: Iterable[Process]) -> tuple[str, ...]:
    return tuple(process.instance for process in processes if process.instance is not None)
