"""Which group answered each sample request, read from the pods' own request logs."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from homeserver_operator.api.names import WORKER_GROUP_LABEL
from homeserver_operator.cli.access import Access
from homeserver_operator.cli.probing import USER_AGENT
from homeserver_operator.cluster import ApiError

_ROUNDS: Final = 5
_PAUSE: Final = 2.0
"""Seconds between looks: the last lines reach the API server a moment late."""

Seen = Mapping[str, frozenset[str]]


class LogsUnreadableError(Exception):
    """Logs could not be read; says why."""


async def sightings(
    access: Access, homeserver: str, *, run: str, names: frozenset[str], seconds: int
) -> Seen:
    """The groups that answered, by the request's name; raises LogsUnreadableError.

    A request that no log shows was answered by a pod that is gone, or logs below INFO are off.
    """
    seen: Seen = {}
    for round_ in range(_ROUNDS):
        try:
            seen = await _look(access, homeserver, run, seconds + round(round_ * _PAUSE))
        except ApiError as error:
            raise LogsUnreadableError(str(error)) from None
        if names <= seen.keys():
            break
        await asyncio.sleep(_PAUSE)
    return seen


async def _look(access: Access, homeserver: str, run: str, seconds: int) -> Seen:
    mark = re.compile(rf'"{USER_AGENT}/{run}/([^"/]+)" \[')
    seen: dict[str, frozenset[str]] = {}
    for pod in await access.pods(homeserver):
        group = pod["metadata"]["labels"][WORKER_GROUP_LABEL]
        for line in await access.log(pod["metadata"]["name"], seconds=seconds):
            if found := mark.search(line.replace('\\"', '"')):
                seen[found[1]] = seen.get(found[1], frozenset()) | {group}
    return seen
