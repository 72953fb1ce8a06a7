"""Remembers what the API server made otherwise of what was applied, as admission webhooks have it.

Without this an operator would apply the same again at every look, and never call it done. It is
forgotten with the process; the next one finds out by applying once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from homeserver_operator.api.actions import Apply
from homeserver_operator.api.names import FIELD_MANAGER
from homeserver_operator.api.world import Key, Object, ObjectKey, Rewrite
from homeserver_operator.plan.difference import rewrite_of

TRY_AGAIN: Final = 3600.0
"""Seconds after which the same is applied again: a webhook that has gone wakes nobody."""


class Rewrites:
    """For all HomeServers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Key, dict[ObjectKey, tuple[Rewrite, float]]] = {}

    def known(self, server: Key) -> Mapping[ObjectKey, Rewrite]:
        """What is known of the objects of a HomeServer."""
        now = self._clock()
        return {
            key: replace(found, due=now - since >= TRY_AGAIN)
            for key, (found, since) in self._known.get(server, {}).items()
        }

    def note(self, server: Key, step: Apply, answer: Object) -> None:
        """Remember, or forget, by the API server's answer to an apply.

        Of what was just created nothing is: it may be otherwise only until it is applied again.
        """
        if step.uid is None or step.manager != FIELD_MANAGER:
            return
        if found := rewrite_of(step.manifest, answer):
            self._known.setdefault(server, {})[step.key] = (found, self._clock())
        else:
            self._known.get(server, {}).pop(step.key, None)

    def forget(self, server: Key) -> None:
        """Of a HomeServer that is gone."""
        self._known.pop(server, None)
