"""The kubectl plugin, run as people run it."""

from __future__ import annotations

import os
import subprocess
import sys

from e2e.product.homeserver import RunningHomeServer
from e2e.product.installation import REPOSITORY


def plugin(
    server: RunningHomeServer, command: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run one of its commands on a homeserver, whatever comes of it."""
    kube = server.kube
    return subprocess.run(
        [
            *(sys.executable, "-m", "homeserver_operator.cli", command, server.name),
            *("--namespace", kube.namespace, "--kubeconfig", str(kube.cluster.kubeconfig)),
            *options,
        ],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )


def approve(server: RunningHomeServer) -> str:
    """Approve the plan that waits; what the plugin prints."""
    done = plugin(server, "approve")
    assert done.returncode == 0, done.stderr
    return done.stdout
