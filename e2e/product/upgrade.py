"""Another release of the operator takes over, and goes again.

The release is made of the present one: the same chart and image, with a module that Python imports
at its start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.product.installation import RELEASE, Installation
from e2e.product.objects import config_map

_MODULE = Path(__file__).parent / "next_release" / "sitecustomize.py"
_NAME = "next-release"
_FOLDER = f"/opt/{_NAME}"
_DEPLOYMENT = f"deployment/{RELEASE}"


@contextmanager
def next_release(installation: Installation) -> Iterator[None]:
    """While the block runs, the operator is one that renders other bytes; then the present one."""
    kube = installation.operator
    kube.apply(config_map(_NAME, {_MODULE.name: _MODULE.read_text()}))
    container = {
        "name": "operator",
        "env": [{"name": "PYTHONPATH", "value": f"{_FOLDER}:/opt/homeserver"}],
        "volumeMounts": [{"name": _NAME, "mountPath": _FOLDER}],
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": _NAME, "configMap": {"name": _NAME}}],
    }
    patch = {"spec": {"template": {"spec": pod}}}
    kube.run("patch", _DEPLOYMENT, f"--patch={json.dumps(patch)}")
    try:
        kube.run("rollout", "status", _DEPLOYMENT, "--timeout=120s")
        yield
    finally:
        kube.run("rollout", "undo", _DEPLOYMENT)
        kube.run("rollout", "status", _DEPLOYMENT, "--timeout=120s")
        kube.delete("configmap", _NAME)
