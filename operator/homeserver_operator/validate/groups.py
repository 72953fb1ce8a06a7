"""Rules over worker groups that the CRD's own rules repeat or cannot say.

Those that the CRD says too are here for `plan` without an API server, and as a second line behind
an older CRD. Each problem names the field and the remedy.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from homeserver_operator.api.roles import (
    MEDIA,
    MEDIA_BACKGROUND_JOBS,
    SINGLE_RUNNER,
    SINGLE_WRITER,
    SSO,
)
from homeserver_operator.api.spec import HomeServer, WorkerGroup

_LIKE_A_MEMBER: Final = re.compile(r"-[0-9]+$")

RESERVED: Final = ("main", "master", "redis", "postgres", "router", "preflight")


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `spec.workers` (one sentence each)."""
    for name, count in Counter(group.name for group in server.workers).items():
        if count > 1:
            yield f"spec.workers: {count} groups are called {name}: give each a name of its own"
    for group in server.workers:
        yield from _group(group)
    for stream in SINGLE_WRITER:
        yield from _single(server, "writes", stream)
    for duty in SINGLE_RUNNER:
        yield from _single(server, "runs", duty)
    yield from _single(server, "serves", SSO)
    if server.authentication:
        for group in server.workers:
            if SSO in group.serves:
                yield (
                    f"spec.workers[{group.name}].serves: Synapse has no {SSO} where "
                    f"spec.matrixAuthenticationService does the logins: remove {SSO}"
                )
    yield from _media(server)


def _group(group: WorkerGroup) -> Iterator[str]:
    path = f"spec.workers[{group.name}]"
    if group.name in RESERVED:
        yield f"{path}.name: {group.name} is the name of another part: choose another"
    if _LIKE_A_MEMBER.search(group.name):
        yield (
            f"spec.workers[{group.name}].name: ends as the names of a group's members do: "
            "choose a name without '-' and digits at its end"
        )
    if not (group.serves or group.writes or group.runs):
        yield f"{path} claims nothing: set serves, writes or runs, or remove the group"


def _single(server: HomeServer, field: str, value: str) -> Iterator[str]:
    groups = [group for group in server.workers if value in getattr(group, field)]
    if len(groups) > 1:
        names = ", ".join(sorted(group.name for group in groups))
        yield f"spec.workers: {names} all have {value} in {field}, but only one process can"
    for group in groups:
        if (group.replicas or 0) > 1:
            yield (
                f"spec.workers[{group.name}].replicas is {group.replicas}, but only one process "
                f"can have {value} in {field}: set 1, or move {value} to a group of its own"
            )


def _media(server: HomeServer) -> Iterator[str]:
    media = [group for group in server.workers if MEDIA in group.serves and group.replicas != 0]
    hosts = [group for group in server.workers if MEDIA_BACKGROUND_JOBS in group.runs]
    if any(group not in media for group in hosts):
        yield (
            f"spec.workers: {MEDIA_BACKGROUND_JOBS} needs the media repository: "
            f"add serves: [{MEDIA}] to the group that runs it, with at least one replica"
        )
    if media and len(hosts) != 1:
        yield (
            f"spec.workers: exactly one of the groups that serve {MEDIA} must have "
            f"runs: [{MEDIA_BACKGROUND_JOBS}], else the clean-up of media runs nowhere or twice; "
            f"{len(hosts)} have"
        )
    count = sum(1 if group.replicas is None else group.replicas for group in media)
    shared = server.media.access_mode == "ReadWriteMany" or server.media.existing_claim
    if count > 1 and not shared:
        yield (
            f"spec.mediaStore.volume.accessMode is {server.media.access_mode}, but {count} media "
            "repositories share the volume: set ReadWriteMany, or one replica"
        )
