"""One installation and one ready example homeserver for all end-to-end tests.

Every test leaves the example as it found it: `homeserver` puts the spec back and waits for Ready.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from e2e.cluster import api
from e2e.product.homeserver import RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.installation import Installation, example, ready_cluster

NAMESPACE = "homeserver-e2e"


@pytest.fixture(scope="session")
def installation() -> Installation:
    """The operator, installed by Helm from the present sources."""
    cluster: api.Cluster = ready_cluster()
    installation = Installation(cluster, NAMESPACE)
    installation.install()
    return installation


@pytest.fixture(scope="session")
def running(installation: Installation) -> RunningHomeServer:
    """The example, ready."""
    resource = example()
    # The demonstration's homeserver may still be there, and one host can lead to one only.
    resource["spec"]["ingress"]["host"] = "matrix.e2e.example.org"
    # All users come from one address, from which Synapse takes a login in five minutes.
    unlimited = {"per_second": 1000, "burst_count": 1000}
    resource["spec"]["config"]["rc_login"] = {"address": unlimited}
    resource["spec"]["config"]["rc_registration"] = unlimited
    server = RunningHomeServer(installation, resource)
    server.apply(server.resource)
    server.wait_ready()
    wait_answering(installation.cluster.ingress, server.host)
    return server


@pytest.fixture
def homeserver(running: RunningHomeServer) -> Iterator[RunningHomeServer]:
    """The example, ready, and put back afterwards."""
    before = copy.deepcopy(running.resource)
    yield running
    running.apply(before)
    running.wait_ready()
