"""What the operator tells Prometheus about itself.

One registry of our own, so that tests can make as many as they like. Counts and names only: no
content of any object.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Every series of the operator; the attribute says what is counted, the help text how."""

    def __init__(self) -> None:
        """Register all series in a new registry."""
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "homeserver_operator_reconcile_total",
            "Finished reconciles by outcome: success, gone, failed (the API server refused an "
            "object), error (anything that is retried), timeout.",
            ["outcome"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "homeserver_operator_reconcile_duration_seconds",
            "Duration of one reconcile.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "homeserver_operator_queue_depth",
            "HomeServers that are due and wait for a free worker.",
            registry=self.registry,
        )
        self.api_requests = Counter(
            "homeserver_operator_api_requests_total",
            "Requests to the API server by verb, kind and status code (0: no answer).",
            ["verb", "kind", "code"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "homeserver_operator_leader",
            "1 while this process holds the Lease.",
            registry=self.registry,
        )
        self.watch_last_event = Gauge(
            "homeserver_operator_watch_last_event_timestamp_seconds",
            "When a watch last heard from the API server, bookmarks included (Unix time).",
            ["kind", "namespace"],
            registry=self.registry,
        )
        self.homeservers_watched = Gauge(
            "homeserver_operator_homeservers_watched",
            "1 while the HomeServers of a namespace are watched (empty: of all), 0 while they are "
            "not. Only the leader watches.",
            ["namespace"],
            registry=self.registry,
        )
        self.homeserver_ready = Gauge(
            "homeserver_operator_homeserver_ready",
            "1 if the HomeServer's condition Ready is True, else 0.",
            ["namespace", "name"],
            registry=self.registry,
        )

    def forget_homeserver(self, namespace: str, name: str) -> None:
        """Drop the series of a HomeServer that is gone; unknown ones are fine."""
        try:
            self.homeserver_ready.remove(namespace, name)
        except KeyError:
            return

    def exposition(self) -> bytes:
        """All series in Prometheus' text format."""
        text: bytes = generate_latest(self.registry)
        return text
