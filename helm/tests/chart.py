"""Runs Helm on the chart of this repository."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1]
NAMESPACE = "operators"
RELEASE = "hso"

IMAGES = "images.registry=registry.example.org/matrix"
"""The one value without a default."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """Helm with a home of its own, so that a person's settings and plug-ins do not matter."""

    program: Path
    home: Path
    kube_version: str

    def attempt(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run Helm and return what came of it, success or not."""
        environment = {
            **{f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")},
            "HOME": str(self.home),
        }
        return subprocess.run(
            [str(self.program), *args],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def run(self, *args: str) -> str:
        """Return the output; fails the test with Helm's message if it refuses."""
        done = self.attempt(*args)
        assert done.returncode == 0, f"helm {' '.join(args)}: {done.stderr}"
        return done.stdout

    def template(self, values: Object | None = None, *sets: str) -> list[Object]:
        """Return the objects that the chart makes with these values."""
        done = self.try_template(values, *sets)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    def try_template(
        self, values: Object | None = None, *sets: str
    ) -> subprocess.CompletedProcess[str]:
        """Render the chart, or learn why not; `sets` replaces the registry of the images."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(values or {}, file)
            file.flush()
            flags = [f"--set={each}" for each in sets or (IMAGES,)]
            return self.attempt(
                *("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}"),
                *(f"--kube-version={self.kube_version}", f"--values={file.name}", *flags),
            )


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def one(objects: list[Object], kind: str) -> Object:
    """Return the only object of a kind."""
    (found,) = of_kind(objects, kind)
    return found
