"""An API server that has the CRD."""

from collections.abc import Iterator

import pytest

from crds.tests.kubectl import Kubectl
from crds.tests.schema import CRD_FILE, CRD_NAME
from e2e.cluster.controlplane import ControlPlane


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    with ControlPlane() as control_plane:
        client = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
        client.run("apply", "--server-side", f"--filename={CRD_FILE}")
        client.wait_established(CRD_NAME)
        yield client
