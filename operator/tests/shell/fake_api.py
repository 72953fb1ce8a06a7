"""An API server in memory, on loopback: just enough REST to test what speaks to a real one.

Server-side apply replaces the whole object, which is then ours. What a real API server is needed
for is tested against one, see `test_against_apiserver.py`.
"""

import asyncio
import base64
import binascii
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from homeserver_operator.api.names import FIELD_MANAGER

Object = dict[str, Any]


class Target(NamedTuple):
    """What a path means."""

    collection: str
    namespace: str
    name: str
    subresource: str


@dataclass
class Fault:
    """An answer that is given `times` times instead of the right one."""

    method: str
    part: str
    status: int
    times: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Object = field(default_factory=dict)
    delay: float = 0.0


class Event(NamedTuple):
    version: int
    type: str
    target: Target
    object: Object


class FakeApi:
    """The server. `requests` lists what came in as (method, path with query).

    `logs` is what the pods have written, by their names; `webhook` changes what is applied.
    """

    def __init__(self) -> None:
        self.objects: dict[Target, Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Object] = []
        self.faults: list[Fault] = []
        self.history: list[Event] = []
        self.logs: dict[str, str] = {}
        self.webhook: Callable[[Object], None] = lambda _applied: None
        self.compacted = 0
        self.url = ""
        self._version = 100
        self._uids = itertools.count(1)
        self._changed = asyncio.Condition()
        self._streams: set[asyncio.Task[Any]] = set()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> "FakeApi":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut_watches()
        await self._runner.cleanup()

    # What tests do to it.

    def fail(self, method: str, part: str, status: int, *, times: int = 1, **more: Any) -> None:
        """Answer the next requests whose path contains `part` with `status`."""
        self.faults.append(Fault(method, part, status, times, **more))

    async def put(self, manifest: Object) -> Object:
        """Write an object as somebody else."""
        target = _target_of(manifest)
        return await self._store(target, json.loads(json.dumps(manifest)))

    async def remove(self, kind: str, name: str) -> None:
        """Delete an object as somebody else."""
        for target, found in list(self.objects.items()):
            if found["kind"] == kind and target.name == name:
                await self._delete(target)

    def find(self, kind: str, name: str) -> Object | None:
        """The object as it is stored."""
        for target, found in self.objects.items():
            if found["kind"] == kind and target.name == name:
                return found
        return None

    def of_kind(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [found for found in self.objects.values() if found["kind"] == kind]

    def writes(self) -> list[tuple[str, str]]:
        """The requests that were no reads."""
        return [request for request in self.requests if request[0] != "GET"]

    def compact(self) -> None:
        """Forget all history, so that watches from before get a 410."""
        self.history.clear()
        self.compacted = self._version

    def cut_watches(self) -> None:
        """Break every open watch in the middle of the stream."""
        for stream in list(self._streams):
            stream.cancel()

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._streams)

    async def bookmark(self) -> None:
        """Send a bookmark to every watch."""
        self._version += 1
        async with self._changed:
            nowhere = Target("", "", "", "")
            self.history.append(Event(self._version, "BOOKMARK", nowhere, {}))
            self._changed.notify_all()

    # What it does.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        body = await request.json() if request.can_read_body else {}
        self.bodies.append(body)
        for fault in self.faults:
            if fault.times and fault.method == request.method and fault.part in request.path_qs:
                fault.times -= 1
                await asyncio.sleep(fault.delay)
                return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        target = parse(request.path)
        if request.method == "GET":
            return await self._read(request, target)
        writes = {
            "POST": self._create,
            "PATCH": self._apply,
            "PUT": self._replace,
            "DELETE": self._remove,
        }
        if request.content_type == "application/merge-patch+json":
            return await self._patch(target, body)
        return await writes[request.method](target, body)

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request, target)
        if target.subresource == "log":
            return web.Response(text=self.logs.get(target.name, ""))
        if target.name:
            found = self.objects.get(target._replace(subresource=""))
            return _answer(found) if found else _status(404, "NotFound")
        return self._list(request, target)

    def _list(self, request: web.Request, target: Target) -> web.Response:
        chosen = [
            found
            for at, found in sorted(self.objects.items())
            if _covers(target, at) and _selects(request.query.get("labelSelector", ""), found)
        ]
        first = int(request.query.get("continue") or 0)
        limit = int(request.query.get("limit") or len(chosen) or 1)
        rest = first + limit
        metadata = {
            "resourceVersion": str(self._version),
            **({"continue": str(rest)} if rest < len(chosen) else {}),
        }
        items = [
            {key: value for key, value in found.items() if key not in {"kind", "apiVersion"}}
            for found in chosen[first:rest]
        ]
        return _answer({"kind": "List", "metadata": metadata, "items": items})

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
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
                    await self._tell(response, request, target, event)
                async with self._changed:
                    if not any(event.version > seen for event in self.history):
                        await self._changed.wait()
        finally:
            self._streams.discard(task)

    @staticmethod
    async def _tell(
        response: web.StreamResponse, request: web.Request, target: Target, event: Event
    ) -> None:
        told = {"metadata": {"resourceVersion": str(event.version)}}
        if event.type != "BOOKMARK":
            selected = _selects(request.query.get("labelSelector", ""), event.object)
            if not selected or not _covers(target, event.target):
                return
            told["metadata"] = {**event.object["metadata"], **told["metadata"]}
        await response.write(json.dumps({"type": event.type, "object": told}).encode() + b"\n")

    async def _create(self, target: Target, body: Object) -> web.Response:
        metadata = body["metadata"]
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._uids)}"
        target = target._replace(name=metadata["name"])
        if target in self.objects:
            return _status(409, "AlreadyExists")
        if problem := _invalid(None, body):
            return problem
        return _answer(await self._store(target, body), 201)

    async def _apply(self, target: Target, body: Object) -> web.Response:
        at = target._replace(subresource="")
        live = self.objects.get(at)
        wanted_uid = body["metadata"].pop("uid", None)
        if live is None and target.subresource:
            return _status(404, "NotFound")
        if live is None and wanted_uid:
            return _status(409, "Conflict", "uid mismatch")
        if live and wanted_uid not in {None, live["metadata"]["uid"]}:
            return _status(422, "Invalid", "field is immutable", ("metadata.uid",))
        if problem := _invalid(live, body):
            return problem
        if target.subresource:
            body = {**(live or {}), "status": body["status"]}
            return _answer(await self._store(at, body), 200)
        record = [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {}}]
        body["metadata"]["managedFields"] = record
        if live and "status" in live:
            body = {**body, "status": live["status"]}
        self.webhook(body)
        return _answer(await self._store(at, body), 200 if live else 201)

    async def _patch(self, target: Target, body: Object) -> web.Response:
        """A JSON merge patch of the metadata, or of the scale subresource."""
        at = target._replace(subresource="")
        live, metadata = self.objects.get(at), body["metadata"]
        if live is None:
            return _status(404, "NotFound")
        for condition in ("uid", "resourceVersion"):
            if metadata.get(condition) not in {None, live["metadata"][condition]}:
                return _status(409, "Conflict", f"{condition} is another")
        if target.subresource == "scale":
            scaled = {**live, "spec": {**live.get("spec", {}), **body["spec"]}}
            return _answer(await self._store(at, scaled))
        body = {**live, "metadata": _merged(live["metadata"], metadata)}
        return _answer(await self._store(at, body))

    async def _replace(self, target: Target, body: Object) -> web.Response:
        live = self.objects.get(target)
        if live is None:
            return _status(404, "NotFound")
        if body["metadata"].get("resourceVersion") != live["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified")
        return _answer(await self._store(target, body))

    async def _remove(self, target: Target, body: Object) -> web.Response:
        live = self.objects.get(target)
        if live is None:
            return _status(404, "NotFound")
        if (body.get("preconditions") or {}).get("uid") not in {None, live["metadata"]["uid"]}:
            return _status(409, "Conflict", "uid in precondition")
        await self._delete(target)
        return _answer({"kind": "Status", "status": "Success"})

    async def _store(self, target: Target, body: Object) -> Object:
        live = self.objects.get(target)
        kept = ("uid", "resourceVersion", "generation")
        metadata = {**body["metadata"], "namespace": target.namespace, "name": target.name}
        if live:
            metadata |= {key: live["metadata"][key] for key in kept}
            if {**body, "metadata": metadata} == live:
                return live
            changed = body.get("spec") != live.get("spec")
            metadata["generation"] = live["metadata"]["generation"] + changed
        else:
            # Whose uid is given has others that name it as their owner.
            metadata = {"uid": f"uid-{next(self._uids)}", **metadata, "generation": 1}
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        self.objects[target] = stored = {**body, "metadata": metadata}
        await self._record("MODIFIED" if live else "ADDED", target, stored)
        return stored

    async def _delete(self, target: Target) -> None:
        self._version += 1
        await self._record("DELETED", target, self.objects.pop(target))

    async def _record(self, kind: str, target: Target, found: Object) -> None:
        async with self._changed:
            self.history.append(Event(self._version, kind, target, found))
            self._changed.notify_all()


def parse(path: str) -> Target:
    """Take a path apart: /api/v1/namespaces/NS/PLURAL/NAME/SUBRESOURCE and its relatives."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    group = "/".join(parts[: len(parts) - len(rest)])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name, subresource = (*rest[1:], "", "")[:2]
    return Target(f"/{group}/{rest[0]}", namespace, name, subresource)


def _target_of(manifest: Object) -> Target:
    api_version, kind = manifest["apiVersion"], manifest["kind"].lower()
    plural = f"{kind}es" if kind.endswith("s") else f"{kind}s"
    prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    metadata = manifest["metadata"]
    return Target(f"{prefix}/{plural}", metadata.get("namespace", ""), metadata["name"], "")


def _covers(wanted: Target, at: Target) -> bool:
    return wanted.collection == at.collection and wanted.namespace in {"", at.namespace}


def _selects(selector: str, found: Object) -> bool:
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def _invalid(live: Object | None, body: Object) -> web.Response | None:
    if live and live.get("immutable") and live.get("data") != body.get("data"):
        return _status(422, "Invalid", "field is immutable when `immutable` is set", ("data",))
    if body.get("kind") == "Secret":
        for value in (body.get("data") or {}).values():
            try:
                base64.b64decode(value, validate=True)
            except binascii.Error:
                return _status(400, "BadRequest", f"illegal base64 data: {value}")
    return None


def _merged(live: Object, patch: Object) -> Object:
    """A JSON merge patch."""
    merged = dict(live)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(live.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _answer(found: Object, status: int = 200) -> web.Response:
    return web.json_response(found, status=status)


def _status(
    code: int, reason: str, message: str = "", fields: tuple[str, ...] = ()
) -> web.Response:
    causes = [{"field": each} for each in fields]
    body = {"kind": "Status", "reason": reason, "message": message, "details": {"causes": causes}}
    return web.json_response(body, status=code)
