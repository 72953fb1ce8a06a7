"""The order in which a homeserver's pods started, were told to end, and went.

One watch has one order: what came before what does not hang on anybody's clock.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.product.homeserver import PROCESS_LABEL, ROLE_LABEL
from e2e.product.kube import Kube, Object, eventually


@dataclass
class Pod:
    """One pod; each moment is the number of the watch's event that first told of it."""

    name: str
    process: str
    made: int
    started: int | None = None
    ready: int | None = None
    told: int | None = None
    gone: int | None = None


@dataclass
class PodWatch:
    """All pods of Synapse processes that were seen, by uid."""

    pods: dict[str, Pod] = field(default_factory=dict)
    events: int = 0

    def since(self, event: int) -> list[Pod]:
        """Pods that were made after an event, in that order."""
        return sorted(
            (pod for pod in self.pods.values() if pod.made > event), key=lambda pod: pod.made
        )

    def told_since(self, event: int) -> list[Pod]:
        """Pods that were told to end after an event."""
        told = [pod for pod in self.pods.values() if pod.told is not None and pod.told > event]
        return sorted(told, key=lambda pod: pod.told or 0)

    def take(self, kind: str, pod: Object) -> None:
        """One event of the watch."""
        self.events += 1
        meta, status = pod["metadata"], pod.get("status", {})
        seen = self.pods.setdefault(
            meta["uid"], Pod(meta["name"], meta["labels"][PROCESS_LABEL], self.events)
        )
        containers = status.get("containerStatuses", ())
        conditions = {item["type"]: item["status"] for item in status.get("conditions", ())}
        if seen.started is None and containers and all(c.get("started") for c in containers):
            seen.started = self.events
        if seen.ready is None and conditions.get("Ready") == "True":
            seen.ready = self.events
        if seen.told is None and "deletionTimestamp" in meta:
            seen.told = self.events
        if kind == "DELETED":
            seen.gone = self.events


@contextmanager
def watching(kube: Kube, homeserver: str) -> Iterator[PodWatch]:
    """Watch one homeserver's Synapse pods; begins with those that are there."""
    selector = f"homeserver-operator.io/homeserver={homeserver},{ROLE_LABEL} in (main,worker)"
    command = [
        *(str(kube.cluster.kubectl), f"--kubeconfig={kube.cluster.kubeconfig}"),
        *(f"--namespace={kube.namespace}", "get", "pods", f"--selector={selector}"),
        *("--watch", "--output-watch-events", "--output=json"),
    ]
    seen = PodWatch()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        thread = threading.Thread(target=_read, args=(process, seen), daemon=True)
        thread.start()
        try:
            eventually(lambda: seen.events, bool, what="the watch", seconds=30)
            yield seen
        finally:
            process.terminate()
            thread.join()


def _read(process: subprocess.Popen[str], seen: PodWatch) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        seen.take(event["type"], event["object"])
