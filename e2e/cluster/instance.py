"""Where one cluster keeps its files and which addresses it uses; all of it follows from its number.

Addresses are of 198.18.0.0/15, which RFC 2544 sets aside for tests. Holds no behaviour.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.progress import RigError

VARIABLE = "HOMESERVER_E2E_INSTANCE"
INSTANCES = 16


@dataclass(frozen=True)
class Instance:
    """One cluster of this machine; several with different numbers run side by side."""

    number: int = 0

    @classmethod
    def from_environment(cls) -> Instance:
        """Return the instance that HOMESERVER_E2E_INSTANCE names, 0 if it is not set."""
        text = os.environ.get(VARIABLE) or "0"
        if not text.isdecimal() or int(text) >= INSTANCES:
            raise RigError(f"{VARIABLE} must be a number from 0 to {INSTANCES - 1}, not {text!r}")
        return cls(int(text))

    @property
    def name(self) -> str:
        """The name of the network namespace, the control group and the directories."""
        return f"homeserver-e2e-{self.number}" if self.number else "homeserver-e2e"

    # Files.
    @property
    def state(self) -> Path:
        """What a cluster keeps while it is up; `down` removes it."""
        return Path("/var/lib") / self.name

    @property
    def run(self) -> Path:
        """Sockets and process records; short paths, and gone after a restart of the machine."""
        return Path("/run") / self.name

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def volumes(self) -> Path:
        """The data of persistent volumes."""
        return self.state / "volumes"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def ready_marker(self) -> Path:
        """Exists once `up` has got to its end; holds the rig's inputs, to notice a change."""
        return self.run / "up"

    @property
    def access_log(self) -> Path:
        """The ingress controller's access log, one JSON object a line."""
        return self.logs / "access.json"

    @property
    def lock(self) -> str:
        return self.name

    # Addresses.
    @property
    def node_address(self) -> str:
        """The node: API server on 6443, ingress controller on 80 and 443."""
        return f"198.18.{self.number}.1"

    @property
    def host_address(self) -> str:
        """The machine itself, as the node sees it."""
        return f"198.18.{self.number}.2"

    @property
    def pod_network(self) -> str:
        return f"198.19.{16 * self.number}.0/21"

    @property
    def service_network(self) -> str:
        return f"198.19.{16 * self.number + 8}.0/21"

    @property
    def service_address(self) -> str:
        """The API server's Service."""
        return f"198.19.{16 * self.number + 8}.1"

    @property
    def dns_address(self) -> str:
        return f"198.19.{16 * self.number + 8}.10"

    # Namespaces.
    @property
    def network_namespace(self) -> Path:
        return Path("/run/netns") / self.name

    @property
    def mount_namespace(self) -> Path:
        return self.run / "namespaces/mount"

    @property
    def host_interface(self) -> str:
        return f"hse2e{self.number}"

    @property
    def node_interface(self) -> str:
        return f"hse2e{self.number}n"

    def inside(self, *command: str | Path) -> list[str | Path]:
        """Return the command line that runs `command` in the cluster's namespaces.

        `ip netns exec` would mount a new /sys, in which the kubelet finds no control groups.
        """
        namespaces = (f"--net={self.network_namespace}", f"--mount={self.mount_namespace}")
        return ["nsenter", *namespaces, *command]
