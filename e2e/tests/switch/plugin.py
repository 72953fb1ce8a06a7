"""The kubectl plugin, run as people run it."""

from __future__ import annotations

import os
import subprocess
import sys

from e2e.product.installation import REPOSITORY
from e2e.tests.switch.topology import Pair


def plugin(command: str, pair: Pair) -> str:
    """Run one of its commands on the hub; what it prints."""
    kube = pair.hub.kube
    done = subprocess.run(
        [
            *(sys.executable, "-m", "homeserver_operator.cli", command, pair.hub.name),
            *("--namespace", kube.namespace, "--kubeconfig", str(kube.cluster.kubeconfig)),
        ],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
