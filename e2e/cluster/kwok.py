"""KWOK, which pretends nodes: it says of each Node and of each pod there what a kubelet would say.

Must not know what a test wants to see; the scheduler and the controllers beside it are real.
"""

from __future__ import annotations

from pathlib import Path

from e2e.cluster import gobuild

STAGES = Path(__file__).parent / "kwok-stages.yaml"


def command(kubeconfig: Path) -> list[str | Path]:
    """Return the command line, the program built at the first call. It listens nowhere."""
    return [
        gobuild.binaries(gobuild.KWOK) / "kwok",
        f"--kubeconfig={kubeconfig}",
        f"--config={STAGES}",
        "--manage-all-nodes",
        "--node-port=0",
        # Without leases a node is taken for dead after a minute.
        "--node-lease-duration-seconds=40",
    ]
