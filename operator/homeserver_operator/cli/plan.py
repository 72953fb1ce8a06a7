"""`kubectl homeserver plan`: what a change would restart, before anybody makes it.

The operator's own decision over what is in the cluster now, with another spec in place of the
live one. Pods are not asked for their state: from where the plugin runs they cannot be reached, and
the status has what matters of it.
"""

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any, Final

from homeserver_operator import observe, pipeline
from homeserver_operator.api.world import Defaults, Object, World
from homeserver_operator.cli.access import connect
from homeserver_operator.cli.output import CliError, document, say
from homeserver_operator.cli.source import from_file, parsed
from homeserver_operator.cli.waves import as_document, lines
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.validate import Rejected, reference_keys, validate

UNKNOWN: Final = Defaults(*["the operator's default"] * 4)
"""What runs was made with defaults that it remembers; the operator's own are needed only for what
does not run yet, which does not restart."""


def run(options: argparse.Namespace) -> int:
    """Print the restarts."""
    body, world = asyncio.run(_read(options))
    valid = validate(parsed(body), world)
    if isinstance(valid, Rejected):
        say(f"the operator would refuse it ({valid.reason}): {valid.message}")
        return 1
    waves = pipeline.preview(body, world, UNKNOWN)
    if options.output != "table":
        say(
            document(
                {"name": body["metadata"]["name"], "waves": as_document(waves)}, options.output
            )
        )
    else:
        say("\n".join(lines(waves)) if waves else "nothing restarts")
    return 0


async def _read(options: argparse.Namespace) -> tuple[Object, World]:
    """The HomeServer as it would be, and the cluster as it is."""
    async with connect(options) as access:
        wanted = from_file(options.filename, access.namespace)
        parsed(wanted)
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        if options.namespace and namespace != options.namespace:
            raise CliError(
                f"{options.filename} is of namespace {namespace}, not {options.namespace}: leave "
                "out --namespace, or correct the file"
            )
        cluster = Cluster(access.transport)
        try:
            live = await observe.homeserver(cluster, parsed(wanted).key)
            if live is None:
                raise CliError(
                    f"there is no HomeServer {name} in namespace {namespace}: nothing restarts, "
                    "everything starts"
                )
            if live["spec"]["serverName"] != wanted["spec"]["serverName"]:
                raise CliError(
                    f"spec.serverName of HomeServer {name} cannot be changed: restore "
                    f"{live['spec']['serverName']}, or give the new one a name of its own"
                )
            body = edited(live, wanted)
            keys = reference_keys(parsed(body))
            return body, await observe.world(cluster, None, body, keys)
        except ApiError as error:
            raise CliError(
                f"what is there cannot be read: {error}; everything of the HomeServer is needed, "
                "the content of its Secrets too"
            ) from None


def edited(live: Object, wanted: Object) -> Object:
    """The live HomeServer as it would be with another spec."""
    metadata: Mapping[str, Any] = live["metadata"]
    changed = live["spec"] != wanted["spec"]
    generation = metadata.get("generation", 0) + changed
    return {**live, "metadata": {**metadata, "generation": generation}, "spec": wanted["spec"]}
