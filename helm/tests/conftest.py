"""Helm, and an API server that has nothing installed."""

from collections.abc import Iterator

import pytest

from crds.tests.kubectl import Kubectl
from e2e.cluster import gobuild
from e2e.cluster.controlplane import ControlPlane
from helm.tests.chart import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    program = gobuild.binaries(gobuild.TOOLS) / "helm"
    version = gobuild.version(gobuild.KUBERNETES)
    return Helm(program, tmp_path_factory.mktemp("helm"), version)


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    with ControlPlane() as control_plane:
        yield Kubectl(control_plane.kubectl, control_plane.kubeconfig)
