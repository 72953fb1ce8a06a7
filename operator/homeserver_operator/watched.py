"""Which HomeServers are watched at present, namespace by namespace, and what is in the way.

Told by the watch, asked by the readiness probe. A namespace that is lost (its Role is gone, say) is
told apart from a watch that sees nothing at all.
"""

import logging
from typing import Final

from homeserver_operator.metrics import Metrics

NOT_YET: Final = "their watch has not begun yet"

log = logging.getLogger(__name__)


class Watched:
    """Keeps one word for each namespace; `namespaces` empty means the whole cluster."""

    def __init__(self, namespaces: tuple[str, ...], metrics: Metrics) -> None:
        self._namespaces = namespaces or ("",)
        self._gauge = metrics.homeservers_watched
        self._problems: dict[str, str] = {}
        self._expected = False

    def expect(self) -> None:
        """From now on, a namespace that is not watched is a problem."""
        self._expected = True
        self._problems = dict.fromkeys(self._namespaces, NOT_YET)
        for namespace in self._namespaces:
            self._gauge.labels(namespace).set(0)

    def tell(self, namespace: str | None, problem: str | None) -> None:
        """Keep the newest word on a namespace (None: all of them at once), None if it is watched.

        Only what is new is logged: a watch is tried again and again.
        """
        namespace = namespace or ""
        if problem == self._problems.get(namespace):
            return
        if problem is None:
            self._problems.pop(namespace)
            log.info("the HomeServers%s are watched", _within(namespace))
        else:
            self._problems[namespace] = problem
            log.warning("the HomeServers%s are not watched: %s", _within(namespace), problem)
        self._gauge.labels(namespace).set(problem is None)

    def tell_all(self, problem: str) -> None:
        """Keep the same word on every namespace."""
        for namespace in self._namespaces:
            self.tell(namespace, problem)

    def trouble(self) -> str | None:
        """Say what is wrong if no HomeServer at all is watched.

        One lost namespace is no reason to take the others for lost: it is logged and counted.
        """
        if not self._expected or len(self._problems) < len(self._namespaces):
            return None
        return f"no HomeServers are watched: {'; '.join(sorted(set(self._problems.values())))}"


def _within(namespace: str) -> str:
    return f" of the namespace {namespace}" if namespace else ""
