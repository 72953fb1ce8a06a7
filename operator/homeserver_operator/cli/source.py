"""The HomeServer that a command is about: from a file, or from the cluster."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from homeserver_operator.api.names import KIND
from homeserver_operator.api.spec import HomeServer, parse
from homeserver_operator.api.world import Object
from homeserver_operator.cli.output import CliError


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
        documents: list[Any] = list(yaml.safe_load_all(text))
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
        return parse(body)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CliError(f"not a HomeServer as its schema wants it: {reason}") from None
