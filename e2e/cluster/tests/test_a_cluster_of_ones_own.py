"""The path of people who have a cluster: a kubeconfig, a registry, an address, and no rig.

The cluster is the rig's, but the demonstration is told no more of it than the README says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import api, bringup
from e2e.cluster.images import REPOSITORY
from e2e.cluster.instance import INSTANCES, VARIABLE, Instance
from e2e.product.installation import IMAGES

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.soak,
    pytest.mark.repeat(1),
    pytest.mark.skipif(not api.is_own(), reason="needs the rig, to play somebody's cluster"),
]


@pytest.fixture
def instance() -> Iterator[Instance]:
    another = Instance(INSTANCES - 2)
    bringup.down(another)
    bringup.up(another)
    yield another
    bringup.down(another)


def test_the_demonstration_runs_from_a_registry(instance: Instance, tmp_path: Path) -> None:
    registry = bringup.registry(instance)
    kubeconfig = tmp_path / "kubeconfig"
    server = bringup.Cluster.of(instance).server
    kubeconfig.write_bytes(server.admin_kubeconfig.read_bytes())
    address = f"{registry.host}/me"

    _run("e2e.cluster", "images", "--push", address, *IMAGES,
         SSL_CERT_FILE=str(registry.authority.certificate))  # fmt: skip
    said = _run(
        "e2e.demo",
        KUBECONFIG=str(kubeconfig),
        HOMESERVER_E2E_CLUSTER=api.CURRENT,
        HOMESERVER_E2E_REGISTRY=address,
        HOMESERVER_E2E_INGRESS=instance.node_address,
    )

    assert "heard 20" in said
    assert "make down" not in said


def _run(module: str, *arguments: str, **environment: str) -> str:
    """Run as a user does; what it says."""
    kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout
