"""Two homeservers, up for all tests of this folder; each test leaves the hub as the file has it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from e2e.cluster import api
from e2e.product.installation import Installation
from e2e.tests.switch.topology import STARTS, Pair, bring_up, take_away


@pytest.fixture(scope="package")
def standing(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Both homeservers, ready; taken away afterwards."""
    if not api.is_own():
        pytest.skip("somebody else's cluster lets nobody outside reach its Services")
    pair = bring_up(installation, tmp_path_factory.mktemp("authority"))
    yield pair
    take_away(pair)


@pytest.fixture
def pair(standing: Pair) -> Iterator[Pair]:
    """Both homeservers, the hub put back afterwards."""
    before = copy.deepcopy(standing.hub.resource)
    standing.database.forget_writes()
    yield standing
    if standing.hub.resource != before:
        standing.hub.apply(before)
    standing.hub.wait_ready(seconds=STARTS)
