"""Every front has its ways, and what is promised is among what is measured."""

from __future__ import annotations

from e2e.bench.fronts import INGRESS, ORDINARY, PROMISED, ROUTER, WAYS, title
from e2e.product.restarting import rename
from e2e.product.router import resource


def test_all_fronts_see_a_planned_restart() -> None:
    assert list(WAYS) == [ROUTER, INGRESS, ORDINARY]
    first, *others = (ways[0] for ways in WAYS.values())
    assert set(others) == {first}


def test_what_is_promised_is_measured_and_is_the_routers() -> None:
    assert {title(ROUTER, way) for way in WAYS[ROUTER]} == PROMISED


def test_the_homeserver_has_a_router_and_persisters_that_a_planned_restart_renames() -> None:
    spec = resource()["spec"]
    assert spec["router"]
    before = [group["name"] for group in spec["workers"]]
    rename(spec)
    assert [group["name"] for group in spec["workers"]] != before
