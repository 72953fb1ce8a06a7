"""One control plane, with Kubernetes' controllers, for all kill points."""

from collections.abc import AsyncIterator, Iterator

import pytest

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import wait_until
from homeserver_operator.metrics import Metrics
from homeserver_operator.transport import Transport


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane(controller_manager=True) as running:
        kubectl = Kubectl(running.kubectl, running.kubeconfig)
        kubectl.run("apply", "--server-side", f"--filename={CRD_FILE}")
        flags = ("--for=condition=Established", "--timeout=30s", f"--filename={CRD_FILE}")
        # kubectl fails on a CRD that has no conditions yet.
        wait_until(
            lambda: kubectl.attempt("wait", *flags).returncode == 0, what="the CRD", seconds=60
        )
        yield running


@pytest.fixture
async def transport(control_plane: ControlPlane) -> AsyncIterator[Transport]:
    connection = await Transport.connect(str(control_plane.kubeconfig), Metrics())
    yield connection
    await connection.close()
