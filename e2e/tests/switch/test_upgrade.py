"""An upgrade of the operator restarts no pod, until somebody asks for it."""

from __future__ import annotations

import pytest

from e2e.product.homeserver import replaced
from e2e.product.plugin import approve
from e2e.product.upgrade import next_release
from e2e.tests.switch.observing import observed
from e2e.tests.switch.topology import STARTS, STORES, Pair

pytestmark = pytest.mark.cluster


def test_an_upgrade_waits_for_approval_and_goes_without_a_trace(pair: Pair) -> None:
    hub, peer = pair.hub, pair.peer
    before = hub.pods(), peer.pods()
    with next_release(pair.hub.installation):
        told = hub.wait("UpToDate", "False", "UpgradeWaits")
        peer.wait("UpToDate", "False", "UpgradeWaits")
        hub.wait_ready()
        assert (hub.pods(), peer.pods()) == before
    assert "approve hub" in told["message"]
    for server in (hub, peer):
        server.wait("UpToDate", "True")
        server.wait_ready()
    assert (hub.pods(), peer.pods()) == before


@pytest.mark.soak
def test_an_upgrade_that_is_approved_moves_every_process_and_so_does_the_way_back(
    pair: Pair,
) -> None:
    hub, peers = pair.hub, pair.peer.pods()
    before = hub.pods()
    with observed(pair) as seen:
        with next_release(pair.hub.installation):
            _approve(pair)
            seen.talkers.flows()
            upgraded = hub.pods()
        _approve(pair)
        seen.talkers.flows()
    after = hub.pods()
    for one, other in ((before, upgraded), (upgraded, after)):
        assert replaced(one, other) == one.keys() - STORES
        assert {name: one[name] for name in STORES} == {name: other[name] for name in STORES}
    assert pair.peer.pods() == peers


def _approve(pair: Pair) -> None:
    pair.hub.wait("UpToDate", "False", "UpgradeWaits")
    approve(pair.hub)
    pair.hub.wait("UpToDate", "True", seconds=STARTS)
    pair.hub.wait_ready(seconds=STARTS)
