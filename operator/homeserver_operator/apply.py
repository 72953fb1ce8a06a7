"""Executes a plan and reports: writes in order, each on the object on which it was decided.

What the API server refuses for good is returned as a message for people; everything else is raised,
so that the reconcile starts again from fresh observation. What it fails at names the object, for
people too: it may fail for long, as with an admission webhook that is down.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from homeserver_operator.api import names
from homeserver_operator.api.actions import Amend, Apply, Event, Plan, Scale, Step
from homeserver_operator.api.world import Object
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.resources import EVENT, HOMESERVER, kind_of

LONGEST_NOTE: Final = 1024
"""Limit of the API server for an event's text."""

_RETRIED: Final = frozenset({404, 408, 409, 429})

log = logging.getLogger(__name__)


Answered = Callable[[Apply, Object], None]
"""Called with what was applied and the object that the API server says it is now."""


async def execute(
    cluster: Cluster,
    server: Object,
    plan: Plan,
    *,
    answered: Answered = lambda _step, _answer: None,
) -> str | None:
    """Write what the plan says, first to last; stop at the first refusal and return its message.

    Later steps stand on earlier ones (a workload on its ConfigMap), so nothing is skipped.
    """
    namespace = server["metadata"]["namespace"]
    for steps in plan.stages:
        # Whoever is let go first waits for the last, so these go out together.
        outcomes = await asyncio.gather(
            *(_refused(cluster, namespace, step, answered) for step in steps),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome:
                return outcome
    return None


async def _refused(cluster: Cluster, namespace: str, step: Step, answered: Answered) -> str | None:
    """Write one step; the message for people, if it was refused for good."""
    log.info("%s %s/%s: %s", type(step).__name__.lower(), *step.key, step.reason)
    try:
        await _write(cluster, namespace, step, answered)
    except ApiError as error:
        name = f"{step.key.kind}/{step.key.name}"
        if message := _refusal(step, error):
            return f"{name}: {message}"
        if error.status >= 500:
            raise ApiError(error.status, error.reason, f"{name}: {error.message}") from error
        raise
    return None


async def status(cluster: Cluster, server: Object, wanted: Object) -> str | None:
    """Apply the whole status; on the uid, so that a namesake of a deleted resource gets none.

    What the API server refuses for good, as with the CRD of another release, is logged; its message
    is returned.
    """
    metadata = server["metadata"]
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
        "status": wanted,
    }
    try:
        await cluster.apply(HOMESERVER, metadata["namespace"], manifest, subresource="status")
    except ApiError as error:
        if not _for_good(error):
            raise
        log.error("the API server refuses the status: %s", error.message)  # noqa: TRY400
        return error.message
    return None


async def events(cluster: Cluster, server: Object, posted: Iterable[Event]) -> None:
    """Post events on the HomeServer. They are news, not state: a failure is logged, no more."""
    namespace = server["metadata"]["namespace"]
    for event in posted:
        try:
            await cluster.create(EVENT, namespace, _event(server, event))
        except ApiError as error:
            log.warning("event %s was not posted: %s", event.reason, error)


async def _write(cluster: Cluster, namespace: str, step: Step, answered: Answered) -> None:
    kind = kind_of(step.key.kind)
    if isinstance(step, Apply):
        metadata = step.manifest["metadata"]
        if step.uid is not None:
            metadata = {**metadata, "uid": step.uid}
        manifest = {**step.manifest, "metadata": metadata}
        answered(step, await cluster.apply(kind, namespace, manifest, manager=step.manager))
        return
    if isinstance(step, Scale):
        told = {"name": step.key.name, "uid": step.uid, "resourceVersion": step.version}
        wanted: Object = {"metadata": told, "spec": {"replicas": step.replicas}}
        if step.key.kind == "Deployment":
            # The scale subresource would record nobody as the owner of the number, or us for ever.
            wanted = {**wanted, "apiVersion": kind.api_version, "kind": kind.kind}
            if step.stopped_from is not None:
                noted = {names.STOPPED_FROM_ANNOTATION: str(step.stopped_from)}
                wanted = {**wanted, "metadata": {**told, "annotations": noted}}
            await cluster.apply(kind, namespace, wanted, manager=names.SCALE_MANAGER)
        else:
            await cluster.scale(kind, namespace, step.key.name, wanted)
        return
    if isinstance(step, Amend):
        metadata = {**step.metadata, "uid": step.uid}
        if step.version is not None:
            metadata["resourceVersion"] = step.version
        await cluster.merge_metadata(kind, namespace, step.key.name, metadata)
        return
    try:
        await cluster.delete(kind, namespace, step.key.name, uid=step.uid)
    except ApiError as error:
        if error.status != 404:
            raise


def _refusal(step: Step, error: ApiError) -> str | None:
    """What people are told, if asking again with the same content would get the same answer.

    An object that was replaced under our hands answers 409 when it is missing and 422 about its uid
    when it is another one; both end in a new look. 404 is a namespace that is going away, or a kind
    that the cluster does not know.
    """
    kind = kind_of(step.key.kind)
    if error.status == 404 and kind.comes_with:
        return (
            f"the cluster does not know {kind.plural} of {kind.api_version}: install the CRDs of "
            f"{kind.comes_with}, or choose another spec.ingress.controller"
        )
    return error.message if _for_good(error) else None


def _for_good(error: ApiError) -> bool:
    """Whether the same content would be refused again; see `_refusal`."""
    if error.status == 422 and "metadata.uid" in error.fields:
        return False
    return 400 <= error.status < 500 and error.status not in _RETRIED


def _event(server: Object, event: Event) -> Object:
    metadata = server["metadata"]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": names.FIELD_MANAGER,
        "reportingInstance": names.FIELD_MANAGER,
        "action": "Reconcile",
        "type": event.type,
        "reason": event.reason,
        "note": event.message[:LONGEST_NOTE],
    }
