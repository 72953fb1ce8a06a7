"""Runs the kubectl that belongs to a control plane, as a person would."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kubectl:
    """kubectl as one user."""

    program: Path
    kubeconfig: Path

    def attempt(self, *args: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run with `text` on standard input and return what came of it, success or not."""
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", *args]
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=60
        )

    def run(self, *args: str, text: str | None = None) -> str:
        """Return the output; fails the test with kubectl's message if it refuses."""
        done = self.attempt(*args, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def get(self, *args: str) -> Any:
        """Return what `kubectl get` finds, as JSON."""
        return json.loads(self.run("get", *args, "--output=json"))

    def wait_established(self, crd: str) -> None:
        """Wait until the API server serves a CRD; fails the test after 30 s.

        Neither by `kubectl wait` nor by its JSONPath: both give up on a CRD that has no conditions
        at all yet.
        """
        deadline = time.monotonic() + 30
        while not self._is_established(crd):
            assert time.monotonic() < deadline, f"CRD {crd} is not established after 30 s"
            time.sleep(0.1)

    def _is_established(self, crd: str) -> bool:
        conditions = self.get("crd", crd).get("status", {}).get("conditions") or ()
        return any((item["type"], item["status"]) == ("Established", "True") for item in conditions)

    def dry_run(self, *objects: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Create the objects on trial: all checks of the server, unknown fields refused."""
        flags = ("--dry-run=server", "--validate=strict", "--output=json", "--filename=-")
        text = "\n".join(json.dumps(each) for each in objects)
        return self.attempt("create", *flags, text=text)
