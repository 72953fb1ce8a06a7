"""The cluster's network namespace and the one cable from the machine to it.

The machine gets one interface with a /24 and routes to pods and services; its default route,
packet filter and forwarding stay as they are.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster.mounts import unmount_below
from e2e.cluster.progress import RigError

if TYPE_CHECKING:
    from e2e.cluster.instance import Instance

SETTINGS = {
    "net.ipv4.ip_forward": "1",
    # Without it, answers between two pods of the node pass kube-proxy's rules by.
    "net.bridge.bridge-nf-call-iptables": "1",
}
BRIDGE = "node0"


def create(instance: Instance) -> None:
    """Make the namespace, its bridge and the cable to the machine."""
    _load_modules()
    cable = ("link", "add", instance.host_interface, "type", "veth")
    _run("ip", "netns", "add", instance.name)
    _run("ip", *cable, "peer", "name", instance.node_interface, "netns", instance.name)
    _inside(instance, "ip", "link", "set", "lo", "up")
    _inside(instance, "ip", "link", "add", BRIDGE, "type", "bridge")
    _inside(instance, "ip", "link", "set", instance.node_interface, "master", BRIDGE, "up")
    _inside(instance, "ip", "address", "add", f"{instance.node_address}/24", "dev", BRIDGE)
    _inside(instance, "ip", "link", "set", BRIDGE, "up")
    _inside(instance, "ip", "route", "add", "default", "dev", BRIDGE)
    for name, value in SETTINGS.items():
        _inside(instance, "sysctl", "-q", "-w", f"{name}={value}")
    _run("ip", "address", "add", f"{instance.host_address}/24", "dev", instance.host_interface)
    _run("ip", "link", "set", instance.host_interface, "up")
    for network in (instance.pod_network, instance.service_network):
        _run("ip", "route", "add", network, "via", instance.node_address)


def exists(instance: Instance) -> bool:
    return instance.network_namespace.exists()


def remove(instance: Instance) -> None:
    """Remove the namespace and the cable; harmless if they are not there."""
    subprocess.run(
        ["ip", "link", "delete", instance.host_interface], capture_output=True, check=False
    )
    if exists(instance):
        # A run that was killed may have left the file without the namespace mounted on it.
        subprocess.run(["ip", "netns", "delete", instance.name], capture_output=True, check=False)
        instance.network_namespace.unlink(missing_ok=True)
    folder = instance.network_namespace.parent
    if folder.is_dir() and not any(folder.iterdir()):
        # `ip netns` mounts the folder of all namespaces on itself; this was the last one.
        unmount_below(folder)
        folder.rmdir()


def process_ids(instance: Instance) -> list[int]:
    """Return the ids of all processes in the namespace, whoever started them."""
    if not exists(instance):
        return []
    wanted = instance.network_namespace.stat().st_ino
    processes = (path for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [int(path.name) for path in processes if _network_of(path) == wanted]


def _network_of(process: Path) -> int | None:
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:
        return None


def _load_modules() -> None:
    """Load what a modular kernel may not have loaded yet; a built-in module needs nothing."""
    if Path("/lib/modules", os.uname().release).is_dir():
        for module in ("overlay", "br_netfilter", "veth", "bridge"):
            subprocess.run(["modprobe", "-q", module], check=False)


def _inside(instance: Instance, *command: str) -> None:
    _run("nsenter", f"--net={instance.network_namespace}", *command)


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RigError(f"{' '.join(map(str, command))}: {result.stderr.strip()}")
