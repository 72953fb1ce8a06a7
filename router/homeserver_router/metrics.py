"""What the agent tells Prometheus: names of Services and backends, and counts. No content."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Every series of the agent, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.slots = Gauge(
            "homeserver_router_slots",
            "Slots of a backend: how many pods it has room for.",
            ["backend"],
            registry=registry,
        )
        self.members = Gauge(
            "homeserver_router_members",
            "Pods that a backend sends requests to; 0: it only holds them.",
            ["backend"],
            registry=registry,
        )
        self.unplaced = Gauge(
            "homeserver_router_members_without_slot",
            "Pods that get no requests, because the backend has no room for them (yet).",
            ["backend"],
            registry=registry,
        )
        self.fallback = Gauge(
            "homeserver_router_fallback_active",
            "1 while another process answers for a backend that has had none for long.",
            ["backend"],
            registry=registry,
        )
        self.last_sync = Gauge(
            "homeserver_router_last_sync_timestamp_seconds",
            "When HAProxy was last seen to have what it should (Unix time).",
            registry=registry,
        )
        self.lag = Histogram(
            "homeserver_router_follow_lag_seconds",
            "From hearing of changed endpoints until HAProxy had them.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self.reloads = Counter(
            "homeserver_router_reloads_total",
            "Configurations by what became of them: ok, refused (the old one goes on).",
            ["outcome"],
            registry=registry,
        )
        self.commands = Counter(
            "homeserver_router_commands_total",
            "Commands to HAProxy that changed a server.",
            registry=registry,
        )
        self.haproxy_errors = Counter(
            "homeserver_router_haproxy_errors_total",
            "Times that HAProxy did not answer, or did not do as told.",
            registry=registry,
        )
        self.name_errors = Counter(
            "homeserver_router_name_errors_total",
            "Look-ups of other Services' names that failed; the last address goes on.",
            registry=registry,
        )
        self.ledger_writes = Counter(
            "homeserver_router_ledger_writes_total",
            "Changes of the slots that this router made for all.",
            registry=registry,
        )
        self.ledger_conflicts = Counter(
            "homeserver_router_ledger_conflicts_total",
            "Changes of the slots in which another router was faster.",
            registry=registry,
        )
        self.api_errors = Counter(
            "homeserver_router_api_errors_total",
            "Requests to the API server that failed, by status code (0: no answer).",
            ["verb", "kind", "code"],
            registry=registry,
        )
        for outcome in ("ok", "refused"):
            self.reloads.labels(outcome)

    def text(self) -> bytes:
        """One scrape."""
        text: bytes = generate_latest(self.registry)
        return text
