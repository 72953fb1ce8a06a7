"""`kubectl homeserver plan`: what a change would restart, before anybody makes it.

The operator's own decision over what is in the cluster now, with another spec in place of the
live one, or with an approval of the upgrade that waits. Pods are not asked for their state: from
where the plugin runs they cannot be reached, and the status has what matters of it.
"""

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any, Final

from homeserver_operator import observe, pipeline
from homeserver_operator.api.kinds import ManagedKind
from homeserver_operator.api.names import APPROVED_PLAN_ANNOTATION
from homeserver_operator.api.world import Defaults, Object, World
from homeserver_operator.build.rendering import RENDERING, rendering_of
from homeserver_operator.cli.access import connect
from homeserver_operator.cli.output import CliError, document, say
from homeserver_operator.cli.source import from_file, parsed
from homeserver_operator.cli.waves import as_document, lines
from homeserver_operator.cluster import FORBIDDEN, ApiError, Cluster
from homeserver_operator.validate import Rejected, reference_keys, validate

_UNKNOWN: Final = "the operator's default"
"""What runs was made with defaults that it remembers; the operator's own are needed only for what
does not run yet, which does not restart, and for an upgrade, of which the status tells."""


class _Readable(Cluster):
    """Leaves out the ways in of kinds that are not Kubernetes' own, where they may not be listed.

    They restart nobody, and Kubernetes' roles for people name no such kinds, which a cluster that
    lacks them forbids, too.
    """

    async def list(
        self, kind: ManagedKind, namespace: str, *, labels: str, limit: int = 500
    ) -> tuple[Object, ...]:
        try:
            return await super().list(kind, namespace, labels=labels, limit=limit)
        except ApiError as error:
            if error.status != FORBIDDEN or not kind.comes_with:
                raise
            return ()


def run(options: argparse.Namespace) -> int:
    """Print the restarts."""
    body, world = asyncio.run(_read(options))
    valid = validate(parsed(body), world)
    if isinstance(valid, Rejected):
        say(f"the operator would refuse it ({valid.reason}): {valid.message}")
        return 1
    _check_release(body, world)
    waves = pipeline.preview(body, world, _defaults(body))
    if options.output != "table":
        say(
            document(
                {"name": body["metadata"]["name"], "waves": as_document(waves)}, options.output
            )
        )
    else:
        say("\n".join(lines(waves)) if waves else "nothing restarts")
    return 0


def _defaults(body: Object) -> Defaults:
    image = _release(body).get("image", _UNKNOWN)
    return Defaults(image, *[_UNKNOWN] * 3)


def _release(body: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = body.get("status", {}).get("release", {})
    return found


def _check_release(body: Object, world: World) -> None:
    """Raise CliError where the operator would come to other files than this plugin."""
    live = map(rendering_of, world.of_kind("Deployment").values())
    told = _release(body).get("rendering")
    theirs = {text for text in live if text} if told is None else {str(told)}
    if theirs and str(RENDERING) not in theirs:
        raise CliError(
            f"the operator is of another release (rendering {', '.join(sorted(theirs))}) than this "
            f"plugin (rendering {RENDERING}): install the plugin of the operator's release, or run "
            "the one in the operator's image"
        )


async def _read(options: argparse.Namespace) -> tuple[Object, World]:
    """The HomeServer as it would be, and the cluster as it is."""
    if options.name:
        return await _read_upgrade(options)
    async with connect(options) as access:
        wanted = from_file(options.filename, access.namespace)
        parsed(wanted)
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        if options.namespace and namespace != options.namespace:
            raise CliError(
                f"{options.filename} is of namespace {namespace}, not {options.namespace}: leave "
                "out --namespace, or correct the file"
            )
        cluster = _Readable(access.transport)
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
        except ApiError as error:
            raise _unreadable(error) from None
        body = edited(live, wanted)
        return body, await _world(cluster, body)


async def _read_upgrade(options: argparse.Namespace) -> tuple[Object, World]:
    """The HomeServer as if what waits for an approval had it."""
    async with connect(options) as access:
        live = await access.homeserver(options.name)
        return approved(live), await _world(_Readable(access.transport), live)


async def _world(cluster: Cluster, body: Object) -> World:
    try:
        return await observe.world(cluster, None, body, reference_keys(parsed(body)))
    except ApiError as error:
        raise _unreadable(error) from None


def _unreadable(error: ApiError) -> CliError:
    return CliError(
        f"what is there cannot be read: {error}; everything of the HomeServer is needed, the "
        "content of its Secrets too"
    )


def approved(live: Object) -> Object:
    """The live HomeServer as if somebody had approved the upgrade of the operator that waits."""
    plan = _release(live).get("plan")
    if plan is None:
        return live
    metadata: Mapping[str, Any] = live["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPROVED_PLAN_ANNOTATION: plan}
    return {**live, "metadata": {**metadata, "annotations": annotations}}


def edited(live: Object, wanted: Object) -> Object:
    """The live HomeServer as it would be with another spec."""
    metadata: Mapping[str, Any] = live["metadata"]
    changed = live["spec"] != wanted["spec"]
    generation = metadata.get("generation", 0) + changed
    return {**live, "metadata": {**metadata, "generation": generation}, "spec": wanted["spec"]}
