"""`kubectl homeserver status`: how a homeserver fares, on one page."""

import argparse
import asyncio
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from homeserver_operator.api.names import REVISION_LABEL, WORKER_GROUP_LABEL
from homeserver_operator.api.world import Object
from homeserver_operator.cli.access import connect
from homeserver_operator.cli.output import document, say, table
from homeserver_operator.cli.waves import from_status, lines
from homeserver_operator.cluster import ApiError
from homeserver_operator.plan.trouble import trouble
from homeserver_operator.status.conditions import READY, UP_TO_DATE

_WIDTH: Final = 100

Document = dict[str, Any]


def run(options: argparse.Namespace) -> int:
    """Print the page."""
    body, pods, note = asyncio.run(_read(options))
    found = status(body, pods)
    if options.output == "table":
        say("\n".join([*_page(found), *([f"\nPods: {note}"] if note else [])]))
    else:
        say(document(found, options.output))
    return 0 if found["ready"] == "True" else 1


async def _read(options: argparse.Namespace) -> tuple[Object, tuple[Object, ...], str]:
    async with connect(options) as access:
        body = await access.homeserver(options.name)
        try:
            return body, await access.pods(options.name), ""
        except ApiError as error:
            return body, (), f"not shown: {error}"


def status(body: Object, pods: tuple[Object, ...]) -> Document:
    """What the resource's status and the pods say, as plain values."""
    told: Mapping[str, Any] = body.get("status", {})
    conditions = {each["type"]: each for each in told.get("conditions", ())}
    ready = conditions.get(READY, {"status": "Unknown"})["status"]
    generation = body["metadata"].get("generation", 0)
    return {
        "name": body["metadata"]["name"],
        "serverName": body["spec"]["serverName"],
        "version": told.get("version"),
        "image": told.get("image"),
        "ready": ready,
        # What is said of an older spec is not yet said of this one.
        "current": told.get("observedGeneration") == generation,
        "conditions": [
            {key: each[key] for key in ("type", "status", "reason", "message")}
            for each in conditions.values()
        ],
        "plan": told.get("plan"),
        "lastSwitch": told.get("lastSwitch"),
        "epochs": dict(told.get("epochs", {})),
        "groups": list(told.get("groups", ())),
        "processes": list(told.get("processes", ())),
        "pods": [_pod(pod) for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))],
    }


def _pod(pod: Object) -> Document:
    labels = pod["metadata"]["labels"]
    state: Mapping[str, Any] = pod.get("status", {})
    containers = state.get("containerStatuses", ())
    found = trouble(pod)
    return {
        "name": pod["metadata"]["name"],
        "group": labels.get(WORKER_GROUP_LABEL, ""),
        "revision": labels.get(REVISION_LABEL, ""),
        "phase": _phase(pod),
        "restarts": sum(each.get("restartCount", 0) for each in containers),
        "trouble": found.message if found else None,
    }


def _phase(pod: Object) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    state: Mapping[str, Any] = pod.get("status", {})
    conditions = {each["type"]: each["status"] for each in state.get("conditions", ())}
    return "Ready" if conditions.get("Ready") == "True" else str(state.get("phase", "Unknown"))


def _page(found: Document) -> Iterator[str]:
    yield f"{found['name']} ({found['serverName']})"
    version = found["version"] or "of a version that is not known yet"
    yield f"Synapse {version}, {found['image'] or 'from an image that is not chosen yet'}"
    if not found["current"]:
        yield "The operator has not looked at the latest change of the spec yet."
    yield ""
    rows = [(each["type"], each["status"], each["reason"]) for each in found["conditions"]]
    yield table(("CONDITION", "STATUS", "REASON"), rows)
    for each in found["conditions"]:
        if each["type"] in {READY, UP_TO_DATE} and each["status"] != "True":
            yield ""
            yield textwrap.fill(each["message"], _WIDTH, break_on_hyphens=False)
    if found["plan"]:
        yield ""
        yield from _plan(found["plan"])
    if found["lastSwitch"]:
        yield ""
        yield textwrap.fill(_last_switch(found["lastSwitch"]), _WIDTH, break_on_hyphens=False)
    yield ""
    groups = [(e["name"], f"{e['ready']}/{e['desired']}") for e in found["groups"]]
    yield table(("GROUP", "READY"), groups)
    if found["epochs"]:
        yield ""
        yield table(("FENCE", "EPOCH", "SHARD MAP"), _fences(found))
    if found["processes"]:
        yield ""
        told = (_process(each, found["epochs"]) for each in found["processes"])
        yield table(("POD SAYS", "PROCESS", "PHASE", "REVISION", "OTHER EPOCHS"), told)
    if found["pods"]:
        yield ""
        yield table(("POD", "GROUP", "PHASE", "RESTARTS", "REVISION"), map(_cells, found["pods"]))
    for pod in found["pods"]:
        if pod["trouble"]:
            yield ""
            yield textwrap.fill(pod["trouble"], _WIDTH, break_on_hyphens=False)


def _plan(plan: Document) -> Iterator[str]:
    because = f": {plan['because']}" if plan.get("because") else ""
    text = f"Plan {plan['id']} is {plan['phase']}{because}"
    yield textwrap.fill(text, _WIDTH, break_on_hyphens=False)
    if waves := from_status(plan):
        yield ""
        yield from lines(waves, plan.get("more", 0))


def _last_switch(last: Document) -> str:
    seconds = f" in {last['seconds']:.1f} s" if "seconds" in last else ""
    many = f"{last['processes']} processes" if "processes" in last else "processes"
    because = f": {last['because']}" if last.get("because") else ""
    return f"Last switch: {many}{seconds}, at {last['finishedAt']}{because}"


def _fences(found: Document) -> Iterator[tuple[str, str, str]]:
    """With the digest of what its holders have read; more than one is an alarm."""
    for fence, epoch in sorted(found["epochs"].items()):
        maps = {each.get("shardMaps", {}).get(fence) for each in found["processes"]}
        yield fence, str(epoch), " ".join(sorted(filter(None, maps)))


def _process(each: Document, current: Mapping[str, int]) -> tuple[str, ...]:
    """One process; of its epochs only those that the homeserver is not at."""
    epochs = sorted(set(each.get("epochs", {}).items()) - set(current.items()))
    others = " ".join(f"{fence}={epoch}" for fence, epoch in epochs)
    told = (each.get(field, "") for field in ("pod", "process", "phase", "revision"))
    return (*told, others)


def _cells(pod: Document) -> tuple[str, ...]:
    return (pod["name"], pod["group"], pod["phase"], str(pod["restarts"]), pod["revision"])
