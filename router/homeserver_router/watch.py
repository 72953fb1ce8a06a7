"""Keeps a copy of some objects of the API server: list, then watch, for ever.

What is known stays known while the API server is away; nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from homeserver_router.api import GONE, Api, ApiError, Object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIRST_PAUSE: Final = 0.2
LAST_PAUSE: Final = 10.0

log = logging.getLogger(__name__)


class Watch:
    """The objects of one kind that a query selects; `changed` is called after each change."""

    def __init__(
        self, api: Api, kind: str, query: Mapping[str, str], changed: Callable[[], None]
    ) -> None:
        self._api = api
        self._kind = kind
        self._query = query
        self._changed = changed
        self._version: str | None = None
        self.objects: dict[str, Object] = {}
        self.synced = False
        """Whether the API server has told what there is, at least once."""

    async def run(self) -> None:
        """Follow: resume after a cut, start over after a 410, back off with jitter on errors."""
        pause = FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while True:
            before, since = self._version, clock()
            try:
                if self._version is None:
                    await self._list()
                await self._follow()
            except ApiError as error:
                # A 410 is no fault: the copy is older than what the API server remembers.
                level = logging.INFO if error.status == GONE else logging.WARNING
                log.log(level, "%s", error)
                if error.status:
                    self._version = None
            # A stream that brings nothing must not become a busy loop, however politely it ends;
            # but where nothing changes, silence is all that can come.
            got_on = clock() - since > LAST_PAUSE or self._version not in {None, before}
            pause = FIRST_PAUSE if got_on else min(pause * 2, LAST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _list(self) -> None:
        items, version = await self._api.list(self._kind, self._query)
        self.objects = {each["metadata"]["name"]: each for each in items}
        self._version = version
        self.synced = True
        self._changed()

    async def _follow(self) -> None:
        events = self._api.watch(self._kind, self._query, self._version or "")
        async with aclosing(events):
            async for kind, found in events:
                metadata = found["metadata"]
                if kind == "DELETED":
                    self.objects.pop(metadata["name"], None)
                elif kind != "BOOKMARK":
                    self.objects[metadata["name"]] = found
                self._version = metadata["resourceVersion"]
                if kind != "BOOKMARK":
                    self._changed()
