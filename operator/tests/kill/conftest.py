"""One control plane, with Kubernetes' controllers, for all kill points."""

from collections.abc import AsyncIterator, Iterator

import pytest

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE, CRD_NAME
from e2e.cluster.controlplane import ControlPlane
from homeserver_operator.metrics import Metrics
from homeserver_operator.transport import Transport


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane(controller_manager=True) as running:
        kubectl = Kubectl(running.kubectl, running.kubeconfig)
        kubectl.run("apply", "--server-side", f"--filename={CRD_FILE}")
        kubectl.wait_established(CRD_NAME)
        yield running


@pytest.fixture
async def transport(control_plane: ControlPlane) -> AsyncIterator[Transport]:
    connection = await Transport.connect(str(control_plane.kubeconfig), Metrics())
    yield connection
    await connection.close()
