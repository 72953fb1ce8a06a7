"""One process of a case as its pod would start it: its files, and Synapse's reading of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from tests.core import case, synapse_config
from tests.core.filesystem import mount

from homeserver_operator.api.world import ObjectKey
from homeserver_runtime import configuration
from homeserver_runtime.contract import Launch, Paths

POD = "thistle-6d9f-x2v7k"


@contextmanager
def pod(name: str, process: str) -> Iterator[tuple[Launch, Paths]]:
    """The files of one process's pod, and what its launcher read."""
    built = case.manifests(name)
    objects = {ObjectKey(o["kind"], o["metadata"]["name"]): o for o in built.all()}
    with TemporaryDirectory() as directory:
        root = Path(directory)
        mount(built.synapse[process]["spec"]["template"], objects, root)
        paths = Paths(config=root / "config", run=root / "run/homeserver")
        yield Launch.read(paths.launcher_yaml, pod_name=POD), paths


@cache
def parsed(name: str, process: str) -> Any:
    """Synapse's configuration object; it refused secrets, but where Secrets are merged in."""
    with pod(name, process) as (launch, paths):
        configuration.write_pgpass(launch, paths)
        finished = configuration.write_finished(configuration.assemble(launch, paths), paths)
        return synapse_config.load(finished, secrets=bool(launch.config_from))


def settings(name: str, process: str) -> dict[str, Any]:
    with pod(name, process) as (_launch, paths):
        return dict(yaml.safe_load(paths.homeserver_yaml.read_text()))
