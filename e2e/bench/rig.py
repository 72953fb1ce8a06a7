"""The cluster that benchmarks run in: one of their own, away again afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from e2e.cluster import api, bringup
from e2e.cluster.api import Cluster
from e2e.cluster.instance import VARIABLE, Instance
from e2e.cluster.progress import RigError, say
from e2e.product.homeserver import RunningHomeServer
from e2e.product.installation import Installation, ready_cluster
from e2e.product.kube import KubectlError

OWN_INSTANCE = "9"


def own_instance() -> Instance:
    """The instance for benchmarks: what HOMESERVER_E2E_INSTANCE names, else the ninth.

    Raises RigError if it is up: a cluster that somebody uses would disturb and be disturbed.
    """
    os.environ.setdefault(VARIABLE, OWN_INSTANCE)
    instance = Instance.from_environment()
    if instance.ready_marker.exists():
        raise RigError(
            f"cluster {instance.name} is up; take it down, or let {VARIABLE} name another number"
        )
    return instance


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster with the images of the present sources; raises RigError."""
    if not api.is_own():
        yield ready_cluster()
        return
    instance = own_instance()
    try:
        yield ready_cluster()
    finally:
        bringup.down(instance)


def attempt(server: RunningHomeServer, work: Callable[[], None]) -> Exception | None:
    """Do something with a homeserver; if it fails, say how that stands, and return why.

    So what was measured before can be told, too.
    """
    try:
        work()
    except (RigError, KubectlError, AssertionError, TimeoutError) as error:
        with suppress(RigError, KubectlError):
            say(server.installation.explain(server.name))
        return error
    return None


@contextmanager
def installed(cluster: Cluster, namespace: str) -> Iterator[Installation]:
    """The operator, watching a new namespace; both are away again afterwards."""
    installation = Installation(cluster, namespace)
    installation.install()
    try:
        yield installation
    finally:
        # The operator goes last, as in life.
        installation.kube.run("delete", "namespace", namespace)
        installation.uninstall()
