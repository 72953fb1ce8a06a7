"""The homeserver with its router, up for all tests of this folder; each leaves it as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from e2e.cluster import api
from e2e.product.installation import Installation
from e2e.tests.router.topology import Routed, bring_up, take_away


@pytest.fixture(scope="package")
def standing(installation: Installation) -> Iterator[Routed]:
    """The homeserver, ready; taken away afterwards."""
    if not api.is_own():
        pytest.skip("somebody else's cluster lets nobody outside reach its pods")
    routed = bring_up(installation)
    yield routed
    take_away(routed)


@pytest.fixture
def routed(standing: Routed) -> Iterator[Routed]:
    """The homeserver, put back afterwards."""
    before = copy.deepcopy(standing.server.resource)
    yield standing
    if standing.server.resource != before:
        standing.server.apply(before)
    standing.settle()
