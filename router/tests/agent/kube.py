"""An API server in memory, on loopback: list, watch, get and merge patch of what the agent uses.

What a real API server is needed for is tested against one, see `test_against_apiserver.py`.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from homeserver_router.endpoints import Address

Object = dict[str, Any]

HOMESERVER = "alpha"
TOKEN = "the-token-of-the-service-account"


class Event(NamedTuple):
    version: int
    type: str
    kind: str
    object: Object


class Kube:
    """The server. `requests` are what came in as (method, path with query)."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.history: list[Event] = []
        self.compacted = 0
        self.down = False
        self.faults: dict[str, int] = {}
        self.unanswered: set[str] = set()
        self.url = ""
        self._version = 100
        self._changed = asyncio.Condition()
        self._streams: set[asyncio.Task[Any]] = set()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut_watches()
        await self._runner.cleanup()

    # What tests do to it.

    async def put(self, kind: str, name: str, **content: Any) -> None:
        """Write an object as somebody else."""
        metadata = {"name": name, **content.pop("metadata", {})}
        await self._store(kind, {"metadata": metadata, **content})

    async def remove(self, kind: str, name: str) -> None:
        """Delete an object as somebody else."""
        self._version += 1
        await self._record("DELETED", kind, self.objects.pop((kind, name)))

    async def stop(self) -> None:
        """Answer nothing but errors from now on, and cut what is open."""
        self.down = True
        self.cut_watches()

    def cut_watches(self) -> None:
        """Break every open watch in the middle of the stream."""
        for stream in list(self._streams):
            stream.cancel()

    def compact(self) -> None:
        """Forget all history, so that watches from before get a 410."""
        self.history.clear()
        self.compacted = self._version

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._streams)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The requests that were no reads."""
        return [request for request in self.requests if request[0] != "GET"]

    async def endpoints(
        self,
        service: str,
        pods: Mapping[str, Address],
        *,
        ready: Sequence[str] | None = None,
        terminating: Sequence[str] = (),
        revision: str | None = None,
    ) -> None:
        """Write the slice of a Service: who is not named in `ready` only warms up."""
        found = slice_of(service, pods, ready=ready, terminating=terminating)
        if revision:
            found["metadata"]["labels"]["homeserver-operator.io/revision"] = revision
        await self.put("endpointslices", f"{service}-abcde", **found)

    async def configuration(
        self, name: str, files: Mapping[str, str], *, main: str | None = None
    ) -> None:
        """Write a configuration, and let the router's Service name it, with main's revision."""
        await self.put("configmaps", name, data=dict(files))
        annotations = {"homeserver-operator.io/router-config": name}
        if main:
            annotations["homeserver-operator.io/main-revision"] = main
        await self.put("services", f"{HOMESERVER}-router", metadata={"annotations": annotations})

    def ledger(self, service: str) -> Any:
        """The pods' slots as they are agreed on."""
        data = self.objects["configmaps", f"{HOMESERVER}-router-slots"].get("data") or {}
        return json.loads(data[service])["slots"] if service in data else {}

    # What it does.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        self.tokens.add(request.headers.get("Authorization", ""))
        if self.down:
            return web.json_response({"reason": "ServiceUnavailable"}, status=503)
        kind, name = (*request.path.partition("/namespaces/chat/")[2].split("/"), "")[:2]
        if f"{request.method} {kind}" in self.unanswered:
            await asyncio.Event().wait()
        if status := self.faults.get(f"{request.method} {kind}"):
            return web.json_response({"reason": "Fault"}, status=status)
        if request.method == "PATCH":
            return await self._patch(kind, name, await request.json())
        if request.query.get("watch"):
            return await self._watch(request, kind)
        if name:
            found = self.objects.get((kind, name))
            return web.json_response(found or {}, status=200 if found else 404)
        items = [
            found
            for (its, _), found in sorted(self.objects.items(), key=lambda each: each[0])
            if its == kind and _selects(request.query, found)
        ]
        metadata = {"resourceVersion": str(self._version)}
        return web.json_response({"metadata": metadata, "items": items})

    async def _patch(self, kind: str, name: str, patch: Object) -> web.Response:
        live = self.objects.get((kind, name))
        if live is None:
            return web.json_response({}, status=404)
        if patch["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            return web.json_response({"reason": "Conflict"}, status=409)
        data = {**(live.get("data") or {}), **patch["data"]}
        kept = {key: value for key, value in data.items() if value is not None}
        return web.json_response(await self._store(kind, {**live, "data": kept}))

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if seen < self.compacted:
            gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            while True:
                for event in [event for event in self.history if event.version > seen]:
                    seen = event.version
                    if event.kind == kind and _selects(request.query, event.object):
                        told = {"type": event.type, "object": event.object}
                        await response.write(json.dumps(told).encode() + b"\n")
                async with self._changed:
                    if not any(event.version > seen for event in self.history):
                        await self._changed.wait()
        finally:
            self._streams.discard(task)

    async def _store(self, kind: str, found: Object) -> Object:
        self._version += 1
        metadata = {**found["metadata"], "resourceVersion": str(self._version)}
        stored = {**found, "metadata": metadata}
        known = (kind, metadata["name"]) in self.objects
        self.objects[kind, metadata["name"]] = stored
        await self._record("MODIFIED" if known else "ADDED", kind, stored)
        return stored

    async def _record(self, type_: str, kind: str, found: Object) -> None:
        async with self._changed:
            self.history.append(Event(self._version, type_, kind, found))
            self._changed.notify_all()


def slice_of(
    service: str,
    pods: Mapping[str, Address],
    *,
    ready: Sequence[str] | None = None,
    terminating: Sequence[str] = (),
    family: str = "IPv4",
) -> Object:
    """An EndpointSlice without its name."""
    return {
        "metadata": {
            "labels": {
                "kubernetes.io/service-name": service,
                "homeserver-operator.io/homeserver": HOMESERVER,
            }
        },
        "addressType": family,
        "ports": [{"name": "http", "port": next(iter(pods.values())).port if pods else 8008}],
        "endpoints": [
            {
                "addresses": [address.ip],
                "conditions": {
                    "ready": (ready is None or pod in ready) and pod not in terminating,
                    "terminating": pod in terminating,
                },
                "targetRef": {"kind": "Pod", "name": pod},
            }
            for pod, address in pods.items()
        ],
    }


def _selects(query: Mapping[str, str], found: Object) -> bool:
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    field = query.get("fieldSelector", "").partition("=")
    return not field[1] or bool(found["metadata"]["name"] == field[2])
