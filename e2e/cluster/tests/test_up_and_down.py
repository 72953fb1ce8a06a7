"""A whole cluster, beside the one that other tests use: up, used, up again, and gone."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import api, bringup, images, network
from e2e.cluster.images import IMAGES
from e2e.cluster.instance import INSTANCES, Instance
from e2e.cluster.node import cgroup_hierarchies
from e2e.cluster.teardown import daemons

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not api.is_own(), reason="of the rig, and another cluster is to be tested"),
]

POD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001}
  containers:
    - name: probe
      image: %s
      imagePullPolicy: Never
      command: [python3, -c]
      args:
        - |
          import pathlib, socket
          pathlib.Path("/data/written").write_text("by user 10001")
          socket.create_connection(("kubernetes.default", 443), 10).close()
      volumeMounts: [{name: data, mountPath: /data}]
  volumes:
    - name: data
      persistentVolumeClaim: {claimName: data}
"""


@dataclass(frozen=True)
class Traces:
    """What a cluster could leave behind."""

    mounts: list[str]
    own_links: list[str]
    default_route: str
    packet_filter: str

    @classmethod
    def now(cls, instance: Instance) -> Traces:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        links = _output("ip", "-oneline", "link").splitlines()
        return cls(
            [mount for mount in mounts if f"/{instance.name}" in mount],
            [link for link in links if instance.host_interface in link],
            _output("ip", "route", "show", "default"),
            _output("iptables", "-S") + _output("iptables", "-t", "nat", "-S"),
        )


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def instance() -> Iterator[Instance]:
    another = Instance(INSTANCES - 1)
    bringup.down(another)
    yield another
    bringup.down(another)


def test_a_cluster_comes_up_works_and_leaves_nothing(instance: Instance) -> None:
    before = Traces.now(instance)
    bringup.up(instance)
    kubectl = bringup.Cluster.of(instance).kubectl
    kubectl("apply", "--filename=-", stdin=POD % images.reference(IMAGES["base"]))
    kubectl.wait("pod/probe", "jsonpath={.status.phase}=Succeeded", seconds=60)
    (volume,) = instance.volumes.iterdir()
    assert (volume / "written").read_text() == "by user 10001"

    running = daemons(instance)
    processes = {name: running.process(name) for name in running.names()}
    assert None not in processes.values()
    bringup.up(instance)
    assert {name: running.process(name) for name in running.names()} == processes

    assert Traces.now(instance) != before
    bringup.down(instance)
    assert Traces.now(instance) == before
    assert not network.exists(instance)
    assert not [group for group in cgroup_hierarchies() if (group / instance.name).exists()]
    assert not instance.state.exists()
    assert not instance.run.exists()
    assert not [process for process in processes.values() if process and process.alive()]
    bringup.down(instance)
