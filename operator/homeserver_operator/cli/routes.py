"""`kubectl homeserver routes`: who answers which request, and why."""

import argparse
import asyncio
from collections.abc import Iterator
from typing import Any

from homeserver_operator.api.names import MAIN
from homeserver_operator.cli import source
from homeserver_operator.cli.edge import Edge, make_edge
from homeserver_operator.cli.keys import again, key_of
from homeserver_operator.cli.output import document, say, table
from homeserver_operator.cli.requests import Request, describe, find, parse_request
from homeserver_operator.render.router import queries
from homeserver_operator.routes import Target
from homeserver_operator.topology import Process

_HEADINGS = ("CLASS", "GROUPS", "PROCESSES", "HASHED BY", "SERVICE")


def run(options: argparse.Namespace) -> int:
    """Print the routes, or where one request goes."""
    request = parse_request(options.request) if options.request else None
    edge = make_edge(asyncio.run(source.homeserver(options)))
    if request:
        one = trace(edge, request)
        text = "\n".join(f"{name:<10}{value}" for name, value in _lines(one))
        say(text if options.output == "table" else document(one, options.output))
    else:
        all_ = routes(edge)
        text = _table(all_, wide=options.wide)
        say(text if options.output == "table" else document(all_, options.output))
    return 0


def routes(edge: Edge) -> list[dict[str, Any]]:
    """Every class of requests that the table knows, and main for all the rest."""
    rest = {
        "class": MAIN,
        "groups": [MAIN],
        "processes": "1",
        "hashedBy": None,
        "service": edge.service(None),
        "rows": [],
        "notSaid": [],
    }
    return [*(_entry(edge, target) for target in edge.wanted), rest]


def trace(edge: Edge, request: Request) -> dict[str, Any]:
    """Where one request goes, by which row, and why."""
    if not edge.lets_in(request.path):
        return _refused(request.shown, "it is not open to the world, so it is answered with 404")
    wanted, told = find(edge.wanted, request), find(edge.told, request)
    target = told[0] if told else None
    if (
        edge.server.router
        and target
        and target.route_class.name in queries.CLASSES
        and queries.is_ambiguous(request.written)
    ):
        whole = f"{request.method} {request.path}?..."
        return _refused(whole, f"it is answered with 400. {queries.WHY}")
    entry: dict[str, Any] = {
        "request": request.shown,
        "row": describe(told[1]) if told else None,
        "class": target.route_class.name if target else MAIN,
        "groups": list(target.groups) if target else [MAIN],
        "service": edge.service(target),
        "why": _reason(edge, target),
    }
    if target and (key := key_of(edge, target, request)):
        entry["hashedBy"] = key
    if edge.server.router:
        entry["again"] = again(told, request)
    if wanted and (told is None or wanted[1] != told[1]):
        entry["notSaid"] = (
            f"the Ingress cannot tell {describe(wanted[1])}, which would lead to "
            f"{', '.join(wanted[0].groups)}"
        )
    return entry


def _refused(request: str, why: str) -> dict[str, Any]:
    return {
        "request": request,
        "row": None,
        "class": None,
        "groups": [],
        "service": None,
        "why": why,
    }


def _entry(edge: Edge, target: Target) -> dict[str, Any]:
    return {
        "class": target.route_class.name,
        "groups": list(target.groups),
        "processes": _count(target.members(edge.topology)),
        "hashedBy": None if target.single else target.route_class.hash_by,
        "service": edge.service(target),
        "rows": [describe(route) for route in target.routes],
        "notSaid": list(edge.untold(target)),
    }


def _count(members: tuple[Process, ...]) -> str:
    known = sum(process.replicas or 0 for process in members)
    scaled = any(process.replicas is None for process in members)
    if not scaled:
        return str(known)
    # How many these are is for whoever scales them.
    return f"{known}+" if known else "scaled"


def _reason(edge: Edge, target: Target | None) -> str:
    if target is None:
        return "no row of the table names it, so the main process has it"
    groups, route_class = ", ".join(target.groups), target.route_class
    if target.is_main:
        claims = [
            f"{field}: [{value}]"
            for field, value in (("serves", route_class.serves), ("writes", route_class.stream))
            if value
        ]
        return f"no group with processes has {' or '.join(claims)}, so the main process has it"
    if target.service:
        return "spec.matrixAuthenticationService names it for logins"
    if target.appservices:
        return f"{groups} is there for {', '.join(target.appservices)} alone"
    wrote = route_class.stream == target.claim and edge.topology.writers.get(target.claim)
    return f"{groups} {'writes' if wrote else 'serves'} {target.claim}"


def _table(found: list[dict[str, Any]], *, wide: bool) -> str:
    lines = table(_HEADINGS, map(_cells, found)).splitlines()
    if wide:
        lines = [lines[0], *_with_rows(lines[1:], found)]
    return "\n".join([*lines, *_notes(found)])


def _with_rows(lines: list[str], found: list[dict[str, Any]]) -> Iterator[str]:
    for line, entry in zip(lines, found, strict=True):
        yield line
        yield from (f"    {row}" for row in entry["rows"] or ["everything else"])


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        entry["class"],
        ", ".join(entry["groups"]),
        entry["processes"],
        entry["hashedBy"] or "",
        entry["service"],
    )


def _notes(found: list[dict[str, Any]]) -> Iterator[str]:
    """What is lost on the way in, and for which classes."""
    phrases = dict.fromkeys(phrase for entry in found for phrase in entry["notSaid"])
    if phrases:
        yield "\nThe homeserver's Ingress cannot say:"
    for phrase in phrases:
        classes = ", ".join(entry["class"] for entry in found if phrase in entry["notSaid"])
        yield f"    {phrase}: {classes}"


def _lines(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "request", entry["request"]
    yield "row", entry["row"] or "none"
    yield "class", entry["class"] or "none"
    yield "groups", ", ".join(entry["groups"]) or "none"
    yield "service", entry["service"] or "none"
    yield "why", entry["why"]
    for name, word in (("hashedBy", "hashed by"), ("again", "again"), ("notSaid", "but")):
        if name in entry:
            yield word, entry[name]
