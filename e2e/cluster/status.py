"""Says what of a cluster runs, for people; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.cluster import network
from e2e.cluster.bringup import Cluster
from e2e.cluster.progress import RigError
from e2e.cluster.teardown import daemons

if TYPE_CHECKING:
    from e2e.cluster.instance import Instance


def show(instance: Instance) -> int:
    """Print the daemons, the node and the pods; return 0 if all daemons run, else 1."""
    running = daemons(instance)
    names = sorted(running.names())
    if not names and not network.exists(instance):
        print(f"cluster {instance.name}: down")
        return 1
    print(f"cluster {instance.name}: {'up' if instance.ready_marker.exists() else 'half up'}")
    for name in names:
        process = running.process(name)
        print(f"  {name:24} {f'pid {process.pid}' if process else 'ENDED'}  {running.log(name)}")
    try:
        kubectl = Cluster.of(instance).kubectl
        print(kubectl("get", "nodes", "--output=wide", "--request-timeout=5s"))
        print(kubectl("get", "pods", "--all-namespaces", "--request-timeout=5s"))
    except RigError as error:
        print(error)
        return 1
    return 0 if all(map(running.alive, names)) else 1
