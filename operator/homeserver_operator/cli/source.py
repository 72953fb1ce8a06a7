"""The HomeServer that a command is about: from a file, or from the cluster."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from homeserver_operator.api import roles
from homeserver_operator.api.names import KIND
from homeserver_operator.api.spec import HomeServer, parse
from homeserver_operator.api.world import Object
from homeserver_operator.cli.output import CliError
from homeserver_operator.routes.classes import CLASSES
from homeserver_operator.routes.dialects import CAPABILITIES

_WORDS: Final = {
    "serves": {each.serves for each in CLASSES if each.serves},
    "writes": set(roles.STREAMS),
    "runs": roles.DUTIES,
}
"""What the lists of a worker group may hold."""


class _Loader(yaml.SafeLoader):
    """Takes for words what kubectl takes for words: days, and times of day."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if tag == "tag:yaml.org,2002:timestamp" or (kind is yaml.ScalarNode and ":" in value):
            return self.DEFAULT_SCALAR_TAG
        return tag


async def homeserver(options: argparse.Namespace) -> HomeServer:
    """Read it; raises CliError."""
    if options.filename:
        return parsed(from_file(options.filename, options.namespace or "default"))
    # A file needs no cluster, whose client takes a second to import.
    from homeserver_operator.cli.access import connect  # noqa: PLC0415

    async with connect(options) as access:
        return parsed(await access.homeserver(options.name))


def from_file(filename: str, namespace: str) -> Object:
    """The HomeServer among a file's documents; raises CliError."""
    try:
        text = sys.stdin.read() if filename == "-" else Path(filename).read_text(encoding="utf-8")
        documents: list[Any] = list(yaml.load_all(text, _Loader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CliError(f"{filename}: {error}") from None
    found = [item for item in documents if isinstance(item, dict) and item.get("kind") == KIND]
    if len(found) != 1:
        raise CliError(f"{filename} holds {len(found)} HomeServers: give a file with one")
    metadata = found[0].get("metadata") or {}
    return {**found[0], "metadata": {"namespace": namespace, **metadata}}


def parsed(body: Object) -> HomeServer:
    """The HomeServer as values; raises CliError for what the CRD's schema would refuse."""
    try:
        server = parse(body)
        problems = list(_problems(server))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise _refused(reason) from None
    if problems:
        raise _refused("; ".join(problems))
    return server


def _refused(reason: str) -> CliError:
    return CliError(f"not a HomeServer as its schema wants it: {reason}")


def _problems(server: HomeServer) -> Iterator[str]:
    """What would go astray in the commands, and what would be passed over without a word."""
    if (controller := server.ingress.controller) not in CAPABILITIES:
        yield f"spec.ingress.controller: {_none_of(controller, CAPABILITIES)}"
    for group in server.workers:
        path = f"spec.workers[{group.name}]"
        if not isinstance(group.replicas, int | None):
            yield f"{path}.replicas: {group.replicas!r} is not a whole number"
        for field, known in _WORDS.items():
            for word in sorted(getattr(group, field) - known):
                yield f"{path}.{field}: {_none_of(word, known)}"


def _none_of(word: str, known: Iterable[str]) -> str:
    return f"{word!r} is none of {', '.join(sorted(known))}"
