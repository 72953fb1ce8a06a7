"""What Prometheus sees is what /state says, and Synapse's own listener serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.held import terminate
from tests.processes import ending
from tests.services import wait_until

from e2e.cluster.ports import free_port
from homeserver_runtime.metrics import Collector
from homeserver_runtime.state import Replication, Snapshot, State

if TYPE_CHECKING:
    from tests.processes import Site

pytest_plugins = ("tests.fixtures",)


def samples(text: str) -> dict[str, float]:
    """Our series by their names and labels, as they stand on the wire."""
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("homeserver_")
    }


def scrape(collector: Collector) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return samples(generate_latest(registry).decode())


def test_the_series_of_a_start_a_loss_and_a_stream_that_lags() -> None:
    now = 100.0
    state = State(
        Snapshot(name="main", role="main", revision=None, synapse="0"), age=2.0, clock=lambda: now
    )
    collector = Collector(state, clock=lambda: now)
    nothing = {
        "homeserver_fence_losses_total": 0,
        "homeserver_fence_retakes_total": 0,
        "homeserver_replication_connected": 0,
        "homeserver_replication_caught_up": 0,
        "homeserver_replication_streams_missing": 0,
    }
    assert scrape(collector) == nothing

    now = 101.0
    state.reach("warm")
    now = 105.0
    state.reach("entered", fences={"topology": 3, "push": 1}, losses=2, retakes=1)
    now = 105.5
    state.reach("serving")
    state.beat(Replication(connected=True, missing=("events", "typing")))
    now = 106.0
    state.beat(Replication(connected=True))
    now = 107.0
    state.beat(Replication(connected=True, missing=("typing",)))
    now = 110.0
    state.beat(Replication(connected=True, missing=("typing",)))
    assert scrape(collector) == {
        "homeserver_warm_up_seconds": 3,
        "homeserver_fence_wait_seconds": 4,
        "homeserver_entry_to_serving_seconds": 0.5,
        "homeserver_entry_to_ready_seconds": 1,
        "homeserver_fence_epoch[topology]": 3,
        "homeserver_fence_epoch[push]": 1,
        "homeserver_fence_losses_total": 2,
        "homeserver_fence_retakes_total": 1,
        "homeserver_replication_connected": 1,
        "homeserver_replication_caught_up": 0,
        "homeserver_replication_streams_missing": 1,
        "homeserver_replication_behind_seconds[typing]": 3,
    }


@pytest.mark.synapse
def test_real_processes_show_them_where_synapse_shows_its_own(site: Site) -> None:
    ports = {"main": free_port(), "persister-0": free_port()}
    fences = {"fences": {"topology": 3, "push": 1}}
    main = site.write("main", role="main", replication_ports=ports, launcher=fences)
    worker = site.write("persister-0", replication_ports=ports, launcher=fences)
    with ending(main.start(), worker.start()):
        for process in (main, worker):
            process.wait_ready()
            text = process.metrics()
            assert "synapse_replication_tcp_protocol_inbound" in text
            shown, seconds = samples(text), process.probe("/state")[1]["seconds"]
            assert shown["homeserver_fence_epoch[topology]"] == 3
            assert shown["homeserver_replication_caught_up"] == 1
            assert shown["homeserver_warm_up_seconds"] == pytest.approx(seconds["warm"], abs=0.01)
            assert seconds["warm"] <= seconds["entered"] <= seconds["serving"] <= seconds["ready"]
        # Each that has a map tells the same of it.
        maps = [process.probe("/state")[1]["shard_maps"] for process in (main, worker)]
        assert maps[0]["topology"] == maps[1]["topology"]
        assert set(maps[1]) == {"topology"}

        terminate(site.postgres, site.database, "true")
        wait_until(
            lambda: samples(main.metrics())["homeserver_fence_retakes_total"] == 1,
            what="the fences to be taken again",
        )
        assert samples(main.metrics())["homeserver_fence_losses_total"] == 1
