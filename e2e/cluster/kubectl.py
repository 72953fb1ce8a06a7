"""Runs kubectl for the rig's own needs, with errors that say what was asked."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2e.cluster.progress import RigError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output; raises RigError with its complaint."""
        result = subprocess.run(
            [self.program, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RigError(f"kubectl {' '.join(arguments)}:\n{result.stderr.strip()}")
        return result.stdout

    def wait(self, resource: str, condition: str, *options: str, seconds: float) -> None:
        """Wait for a condition of a resource, which itself need not exist yet."""
        for what in dict.fromkeys(("create", condition)):
            self("wait", resource, f"--for={what}", f"--timeout={seconds:.0f}s", *options)
