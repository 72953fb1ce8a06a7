"""Watches the children of all HomeServers and wakes the one that a changed object belongs to.

Server-side label selector, metadata only, nothing kept: an event is a key and then forgotten. What
may have been missed (a resourceVersion too old) wakes every known HomeServer instead.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from homeserver_operator.api.kinds import ManagedKind
from homeserver_operator.api.names import HOMESERVER_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from homeserver_operator.api.world import Key
from homeserver_operator.cluster import FORBIDDEN, NOT_FOUND, ApiError, Cluster
from homeserver_operator.metrics import Metrics
from homeserver_operator.pauses import PATIENT, Pauses

LABELS: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY},{HOMESERVER_LABEL}"

GONE: Final = 410
ABSENT: Final = 60.0
"""Seconds until a kind that the cluster does not know is looked for again."""

log = logging.getLogger(__name__)


class ChildWatch:
    """The watch of one kind in one namespace (None: in all).

    `wake` is called with the HomeServer of every changed child, `missed` when changes may have been
    lost. `synced` is set once changes are seen, or are not ours to see: reconcile nothing before
    that, because a change between a reconcile's look and the watch's beginning would be lost.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: ManagedKind,
        namespace: str | None,
        *,
        wake: Callable[[Key], None],
        missed: Callable[[], None],
        metrics: Metrics,
        pauses: Pauses = PATIENT,
        absent_pause: float = ABSENT,
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._wake = wake
        self._missed = missed
        self._ignored = {"BOOKMARK", "MODIFIED"} if kind.restless else {"BOOKMARK"}
        self._heard = metrics.watch_last_event.labels(kind.kind, namespace or "")
        self._pauses = pauses
        self._absent_pause = absent_pause
        self._version: str | None = None
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Watch for ever: resume after a cut, start over after a 410, back off on errors."""
        pauses = iter(self._pauses)
        # The beginning counts as having got on.
        next(pauses)
        clock = asyncio.get_running_loop().time
        while True:
            before, since = self._version, clock()
            try:
                if self._version is None:
                    self._version = await self._begin()
                await self._follow(self._version)
            except ApiError as error:
                if error.status == NOT_FOUND and self._kind.comes_with:
                    self._nothing_to_see()
                    await asyncio.sleep(self._absent_pause)
                    continue
                if error.status == GONE:
                    log.info("watch of %s starts over: %s", self._kind.plural, error)
                    self._version = None
                else:
                    log.warning("watch of %s: %s", self._kind.plural, error)
                if error.status == FORBIDDEN:
                    # A namespace whose Role is lost must not keep the others waiting; once it is
                    # back, everyone is woken.
                    self.synced.set()
            # A stream that brings nothing must not become a busy loop, however politely it ends;
            # but where nothing changes and etcd tells no progress, silence is all that can come.
            held = clock() - since > self._pauses.last
            if held or self._version not in {None, before}:
                pauses = iter(self._pauses)
            await asyncio.sleep(next(pauses))

    def _nothing_to_see(self) -> None:
        """The cluster lacks the kind's CRD. Once it is installed, everyone is woken."""
        log.debug("no %s in this cluster", self._kind.plural)
        self._version = None
        self._hear()
        self.synced.set()

    async def _begin(self) -> str:
        """Find where to watch from. The list itself is of no interest, only its version is.

        kopf's list of the HomeServers wakes everyone at the start, and `missed` after a gap.
        """
        pages = self._cluster.pages(
            self._kind, self._namespace, labels=LABELS, limit=1, metadata_only=True
        )
        async with aclosing(pages):
            version = (await anext(pages)).resource_version
        self._hear()
        if self.synced.is_set():
            self._missed()
        self.synced.set()
        return version

    async def _follow(self, version: str) -> None:
        """Wake for every event of one stream, and remember where to resume."""
        events = self._cluster.watch(
            self._kind, self._namespace, labels=LABELS, resource_version=version
        )
        async with aclosing(events):
            async for event in events:
                self._hear()
                metadata = event["object"]["metadata"]
                if event["type"] not in self._ignored:
                    self._wake_owner(metadata)
                self._version = metadata["resourceVersion"]

    def _wake_owner(self, metadata: Mapping[str, Any]) -> None:
        name = (metadata.get("labels") or {}).get(HOMESERVER_LABEL)
        if name:
            self._wake(Key(metadata["namespace"], name))

    def _hear(self) -> None:
        self._heard.set(time.time())
