"""kubectl as a Python object: plain dicts in and out, and waiting for conditions."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from e2e.cluster.api import Cluster

Object = dict[str, Any]
T = TypeVar("T")


class KubectlError(Exception):
    """kubectl failed; the text is its own."""


class WaitError(AssertionError):
    """A condition did not come about in time; the text says which, and what was seen last."""


@dataclass(frozen=True)
class Kube:
    """One namespace of a cluster."""

    cluster: Cluster
    namespace: str

    def run(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """Run kubectl in the namespace and return what it prints; raises KubectlError."""
        command = [
            str(self.cluster.kubectl),
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={self.namespace}",
            *arguments,
        ]
        result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if check and result.returncode:
            raise KubectlError(result.stderr.strip())
        return result.stdout

    def apply(self, *objects: Object) -> None:
        """Apply objects, refusing unknown fields as kubectl does by default."""
        self.run("apply", "-f", "-", text=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str) -> Object:
        """One object; raises KubectlError if there is none."""
        found: Object = json.loads(self.run("get", kind, name, "-o", "json"))
        return found

    def find(self, kind: str, name: str) -> Object | None:
        """One object, None if there is none."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """All objects of a kind that carry the labels."""
        text = self.run("get", kind, "-o", "json", *(["-l", selector] if selector else []))
        items: list[Object] = json.loads(text)["items"]
        return items

    def patch(self, kind: str, name: str, change: Object, *, subresource: str = "") -> None:
        """Merge-patch one object."""
        extra = [f"--subresource={subresource}"] if subresource else []
        self.run("patch", kind, name, "--type=merge", "-p", json.dumps(change), *extra)

    def delete(self, kind: str, name: str, *, wait: bool = True) -> None:
        """Delete one object, if it is there."""
        self.run("delete", kind, name, "--ignore-not-found", f"--wait={str(wait).lower()}")


def eventually(
    look: Callable[[], T], holds: Callable[[T], bool], *, what: str, seconds: float
) -> T:
    """Look again and again until it holds, and return what was seen; raises WaitError."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise WaitError(f"{what}: not within {seconds:.0f} s; last seen: {seen!r:.2000}")
        time.sleep(0.2)
