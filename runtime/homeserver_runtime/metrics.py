"""What a process tells Prometheus about its start, its fences and replication.

Reads the same snapshot as GET /state, at every scrape, and counts nothing itself. Synapse serves
prometheus-client's default registry on its metrics listener, so that is where this belongs. Which
pod it is, Prometheus knows by itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from homeserver_runtime.state import Snapshot, Stage, State

_DURATIONS: dict[str, tuple[str, Stage | None, Stage]] = {
    "homeserver_warm_up_seconds": (
        "From the process's beginning until configuration and database were accepted.",
        None,
        "warm",
    ),
    "homeserver_fence_wait_seconds": (
        "How long the process waited for its fences before it entered.",
        "warm",
        "entered",
    ),
    "homeserver_entry_to_serving_seconds": (
        "From holding all fences until Synapse listened, a migration included.",
        "entered",
        "serving",
    ),
    "homeserver_entry_to_ready_seconds": (
        "From holding all fences until the process had caught up with replication.",
        "entered",
        "ready",
    ),
}


class Collector:
    """The series of one process."""

    def __init__(self, state: State, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock

    def register(self) -> None:
        """From now on Synapse's metrics listener, if there is one, serves these too."""
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        now = self._state.now
        yield from _start(now)
        yield from _fences(now)
        yield from self._replication(now)

    def _replication(self, now: Snapshot) -> Iterator[Metric]:
        replication = now.replication
        yield _gauge(
            "homeserver_replication_connected",
            "1 while the process is subscribed to Redis.",
            replication.connected,
        )
        yield _gauge(
            "homeserver_replication_caught_up",
            "1 while it is also up to date with every stream of the other processes.",
            replication.caught_up,
        )
        yield _gauge(
            "homeserver_replication_streams_missing",
            "Streams of other processes that it has not caught up with.",
            len(replication.missing),
        )
        behind = GaugeMetricFamily(
            "homeserver_replication_behind_seconds",
            "For how long it has not been up to date with a stream; no series: it is.",
            labels=["stream"],
        )
        for stream, since in sorted(now.behind_since.items()):
            behind.add_metric([stream], self._clock() - since)
        yield behind


def _start(now: Snapshot) -> Iterator[Metric]:
    for name, (text, earlier, later) in _DURATIONS.items():
        seconds = now.between(earlier, later) if earlier else now.reached.get(later)
        if seconds is not None:
            yield _gauge(name, text, seconds)


def _fences(now: Snapshot) -> Iterator[Metric]:
    epochs = GaugeMetricFamily(
        "homeserver_fence_epoch",
        "The epoch of each fence that the process holds; no series: it does not hold it.",
        labels=["fence"],
    )
    for fence, epoch in sorted(now.fences.items()):
        epochs.add_metric([fence], epoch)
    yield epochs
    yield CounterMetricFamily(
        "homeserver_fence_losses", "How often the process lost its fences.", value=now.losses
    )
    yield CounterMetricFamily(
        "homeserver_fence_retakes", "How often it got them back.", value=now.retakes
    )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
