"""The whole topology, up for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.product.installation import Installation
from e2e.tests.live.topology import Live, bring_up, take_away


@pytest.fixture(scope="package")
def live(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Both homeservers, ready; taken away afterwards."""
    domain = installation.cluster.domain
    if domain is None:
        pytest.skip("no domain leads to the ingress controller of somebody else's cluster")
    live = bring_up(installation, domain, tmp_path_factory.mktemp("authority"))
    yield live
    take_away(live)
