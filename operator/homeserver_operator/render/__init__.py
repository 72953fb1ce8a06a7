"""The files that a process reads, as text: homeserver.yaml, log.yaml, launcher.yaml.

Each process gets only what it reads, so that its bytes change exactly when its behaviour does. No
Kubernetes objects, no secrets: those are named by path.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from homeserver_operator.api.canonical import canonical
from homeserver_operator.fences import Fences
from homeserver_operator.render.homeserver_yaml import render_homeserver
from homeserver_operator.render.launcher_yaml import render_launcher
from homeserver_operator.render.log_yaml import render_log
from homeserver_operator.render.paths import Addresses
from homeserver_operator.topology import Process, Topology
from homeserver_operator.validate import ValidHomeServer


def render(
    server: ValidHomeServer, topology: Topology, addresses: Addresses, fences: Fences
) -> dict[str, dict[str, str]]:
    """All files of every process: by the process's name, then by the file's."""
    written: dict[str, str] = {}
    return {
        process.name: {
            name: _to_yaml(document, written)
            for name, document in _documents(server, topology, process, addresses, fences).items()
        }
        for process in topology.processes
    }


def _documents(
    server: ValidHomeServer,
    topology: Topology,
    process: Process,
    addresses: Addresses,
    fences: Fences,
) -> Mapping[str, Mapping[str, object]]:
    return {
        "homeserver.yaml": render_homeserver(server, topology, process, addresses),
        "log.yaml": render_log(process.options.log_level or server.spec.log_level),
        "launcher.yaml": render_launcher(server, process, fences.of(process.name)),
    }


class _PlainDumper(yaml.CSafeDumper):
    """Writes a value that occurs twice twice: anchors are for machines, these files for people.

    libyaml's, without a fallback: it takes a fifth of the time, and PyYAML's own writes other bytes
    in places, which would restart every pod.
    """

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def to_yaml(document: Any) -> str:
    """A document as text, the same for equal documents."""
    return yaml.dump(document, Dumper=_PlainDumper, sort_keys=True, width=1000, allow_unicode=True)


def _to_yaml(document: Mapping[str, object], written: dict[str, str]) -> str:
    """The same text, made of its entries', and what was `written` before is not written again.

    Processes share most entries, JSON tells which, and YAML takes many times longer.
    """
    texts = []
    for key, value in sorted(document.items()):
        entry = {key: value}
        known = canonical(entry)
        if known not in written:
            written[known] = to_yaml(entry)
        texts.append(written[known])
    return "".join(texts)
