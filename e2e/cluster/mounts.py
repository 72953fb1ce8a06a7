"""The cluster's mount namespace: its mounts are seen nowhere else and vanish with it.

It also gives the node its own view of the folders whose paths kubelet, containerd and the CNI
library do not let one configure, so that clusters and the machine's own containers do not meet.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster.progress import RigError

if TYPE_CHECKING:
    from e2e.cluster.instance import Instance

FIXED_FOLDERS = tuple(
    Path(folder) for folder in ("/etc/cni", "/run/containerd", "/var/lib/cni", "/var/lib/kubelet")
)


def create(instance: Instance) -> None:
    """Make the namespace and pin it to a file, so that later processes can join it."""
    pin = instance.mount_namespace
    pin.parent.mkdir(parents=True)
    _run("mount", "--bind", pin.parent, pin.parent)
    # The kernel refuses to pin a mount namespace where the pin would spread to other namespaces.
    _run("mount", "--make-private", pin.parent)
    pin.touch()
    # What the machine unmounts goes away here too; what is mounted here stays here.
    _run("unshare", f"--mount={pin}", "--propagation=slave", "true")
    # The kubelet expects that mounts spread from it to containers.
    _inside(instance, "mount", "--make-rshared", "/")
    for folder in FIXED_FOLDERS:
        own = instance.run / "folders" / folder.relative_to("/")
        own.mkdir(parents=True)
        folder.mkdir(parents=True, exist_ok=True)
        _inside(instance, "mount", "--bind", own, folder)


def remove_empty_folders() -> None:
    """Remove the mount points that `create` had to make; one with content is somebody's."""
    for folder in FIXED_FOLDERS:
        try:
            folder.rmdir()
        except OSError:
            continue


def unmount_below(*directories: Path) -> None:
    """Unmount everything at or below these directories, the latest first."""
    points = [
        Path(line.split(" ")[4].encode().decode("unicode_escape"))
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    for point in reversed(points):
        if any(point.is_relative_to(directory) for directory in directories):
            plain = subprocess.run(["umount", point], capture_output=True, check=False)
            if plain.returncode:
                _run("umount", "--lazy", point)


def _inside(instance: Instance, *command: str | Path) -> None:
    _run("nsenter", f"--mount={instance.mount_namespace}", *command)


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RigError(f"{' '.join(map(str, command))}: {result.stderr.strip()}")
