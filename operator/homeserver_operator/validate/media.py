"""Rules over who has the media repository, and over where media are stored."""

from collections.abc import Iterator

from homeserver_operator.api.roles import MEDIA, MEDIA_BACKGROUND_JOBS, QUARANTINED_MEDIA
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.validate.groups import at_most


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with the media processes and their store (one sentence each).

    A group with `replicas: 0` has no part in it: if no other serves media, main does.
    """
    for field, value in (("runs", MEDIA_BACKGROUND_JOBS), ("writes", QUARANTINED_MEDIA)):
        for group in server.workers:
            if value in getattr(group, field) and MEDIA not in group.serves:
                yield (
                    f"spec.workers[{group.name}].{field}: {value} needs the media repository: "
                    f"add {MEDIA} to the serves of the same group"
                )
    media = [group for group in server.workers if MEDIA in group.serves and group.replicas != 0]
    hosts = [group for group in media if MEDIA_BACKGROUND_JOBS in group.runs]
    if media and len(hosts) != 1:
        yield (
            f"spec.workers: exactly one of the groups that serve {MEDIA} (with at least one "
            f"replica) must have runs: [{MEDIA_BACKGROUND_JOBS}], else the clean-up of media runs "
            f"nowhere or twice; {len(hosts)} have"
        )
    count = sum(at_most(group) for group in media)
    volume = server.media.volume
    if count > 1 and not (volume.access_mode == "ReadWriteMany" or volume.existing_claim):
        yield (
            f"spec.mediaStore.volume.accessMode is {volume.access_mode}, but {count} media "
            "repositories share the volume: set ReadWriteMany, or one replica"
        )
