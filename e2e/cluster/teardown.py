"""Takes a cluster away, whatever state an `up` or a crash left it in, and nothing else.

What belongs to the cluster is known by its network namespace, its control group and its two
directories; processes are ended by id.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import mounts, network
from e2e.cluster.node import cgroup_hierarchies
from e2e.cluster.processes import Daemons, Process, end
from e2e.cluster.progress import RigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from e2e.cluster.instance import Instance

KEPT_FOR_LAST = ("containerd", "kube-apiserver", "etcd")


def daemons(instance: Instance) -> Daemons:
    return Daemons(records=instance.run / "processes", logs=instance.logs)


def tear_down(instance: Instance) -> None:
    """End every process, mount, interface, namespace and control group; harmless if none is."""
    instance.ready_marker.unlink(missing_ok=True)
    running = daemons(instance)
    running.stop(*(name for name in running.names() if name not in KEPT_FOR_LAST))
    # containerd still lives, so that its shims see the containers end and clean up after them.
    _end_containers(instance)
    for name in KEPT_FOR_LAST:
        running.stop(name)
    # Shims of containers that are gone; they pass over SIGTERM.
    end(_live(network.process_ids(instance)), seconds=1)
    _end_containers(instance)
    mounts.unmount_below(instance.state, instance.run)
    for group in _groups(instance):
        _remove_group(group)
    network.remove(instance)
    mounts.remove_empty_folders()
    for directory in (instance.run, instance.state):
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            raise RigError(f"{directory} could not be removed; what uses it? (fuser -vm)")


def _live(pids: Iterable[int]) -> list[Process]:
    return [process for pid in pids if (process := Process.of(pid))]


def _groups(instance: Instance) -> list[Path]:
    groups = (hierarchy / instance.name for hierarchy in cgroup_hierarchies())
    return [group for group in groups if group.is_dir()]


def _end_containers(instance: Instance) -> None:
    """Kill what is in the pods' control groups until nothing is, since processes may fork."""
    for group in _groups(instance):
        while processes := _live(_process_ids(group)):
            end(processes, seconds=0)


def _process_ids(group: Path) -> set[int]:
    found: set[int] = set()
    # os.walk passes over groups that vanish meanwhile, as they do when containers end.
    for directory, _, _ in os.walk(group):
        try:
            listing = Path(directory, "cgroup.procs").read_text()
        except OSError:
            continue
        found.update(map(int, listing.split()))
    return found


def _remove_group(group: Path) -> None:
    for name, _, _ in os.walk(group, topdown=False):
        directory = Path(name)
        deadline = time.monotonic() + 5
        while directory.exists():
            try:
                directory.rmdir()
            except OSError as error:
                # The kernel lets go of a group a moment after its last process.
                if time.monotonic() > deadline:
                    raise RigError(f"control group {directory}: {error}") from error
                time.sleep(0.02)
