"""The port to the cluster: the verbs that the operator uses, on plain dicts.

Every write passes the guard (the leader's deadline) right before it is sent. No decisions here, and
no content of an object in any log line or error.
"""

import dataclasses
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import aiohttp

from homeserver_operator.api import names
from homeserver_operator.api.kinds import ManagedKind
from homeserver_operator.api.world import Object
from homeserver_operator.resources import path_of
from homeserver_operator.transport import (
    APPLY_PATCH,
    JSON,
    MERGE_PATCH,
    REQUEST_TIMEOUT,
    ApiError,
    Credentials,
    Request,
    Transport,
    failure,
    patiently,
    unreachable,
)

__all__ = ["ApiError", "Cluster", "LeadershipLostError", "Page"]

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

STRICT: Final = ("fieldValidation", "Strict")
WRITER: Final = (("fieldManager", names.FIELD_MANAGER), STRICT)

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404

WATCH_SECONDS: Final = 300
"""After this time the API server ends a watch, so that a connection never grows old."""

WATCH_SILENCE: Final = 90.0
"""Bookmarks come about once a minute: a watch without a byte for longer is dead."""


class LeadershipLostError(Exception):
    """Writing is over for this process; another one may already write."""


Guard = Callable[[], float]
"""Seconds for which writing is still allowed; raises LeadershipLostError if it is not."""


def unguarded() -> float:
    """Permission for the writes that leadership itself is made of."""
    return REQUEST_TIMEOUT


class Page(NamedTuple):
    """A part of a list, and the resourceVersion from which a watch may continue."""

    items: tuple[Object, ...]
    resource_version: str


class Cluster:
    """Requests to one cluster; see the module. All methods raise ApiError."""

    def __init__(self, transport: Transport, guard: Guard = unguarded) -> None:
        self._transport = transport
        self._guard = guard

    def guarded(self, guard: Guard) -> "Cluster":
        """The same connection, its writes allowed only while `guard` says so."""
        return Cluster(self._transport, guard)

    async def credentials(self) -> Credentials:
        """Access for kopf, which brings a client of its own."""
        return await self._transport.credentials()

    async def get(
        self, kind: ManagedKind, namespace: str | None, name: str, *, metadata_only: bool = False
    ) -> Object | None:
        """Read one object; None if there is none."""
        accept = METADATA_ONLY if metadata_only else JSON
        request = Request("GET", path_of(kind, namespace, name), "get", kind.kind, accept=accept)
        try:
            found: Object = await self._read(request)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return found

    async def pages(
        self,
        kind: ManagedKind,
        namespace: str | None,
        *,
        labels: str = "",
        limit: int = 500,
        metadata_only: bool = False,
    ) -> AsyncGenerator[Page, None]:
        """List in pages of at most `limit`; ApiError 410 if it took too long for one snapshot."""
        token = ""
        while True:
            query = [("limit", str(limit)), ("labelSelector", labels), ("continue", token)]
            answer = await self._read(
                Request(
                    "GET",
                    path_of(kind, namespace),
                    "list",
                    kind.kind,
                    query=tuple((name, value) for name, value in query if value),
                    accept=METADATA_LIST if metadata_only else JSON,
                )
            )
            yield Page(tuple(answer.get("items") or ()), answer["metadata"]["resourceVersion"])
            token = answer["metadata"].get("continue") or ""
            if not token:
                return

    async def list(
        self, kind: ManagedKind, namespace: str, *, labels: str, limit: int = 500
    ) -> tuple[Object, ...]:
        """List everything that carries the labels; items get the kind that lists leave out.

        Of a kind that a cluster may lack, and does, there are none.
        """
        items: list[Object] = []
        try:
            async with aclosing(self.pages(kind, namespace, labels=labels, limit=limit)) as pages:
                async for page in pages:
                    # Who owns which field is a large part of an object, and few here ask.
                    for item in page.items if not kind.shared else ():
                        item["metadata"].pop("managedFields", None)
                    items += page.items
        except ApiError as error:
            if error.status != NOT_FOUND or not kind.comes_with:
                raise
        return tuple({"apiVersion": kind.api_version, "kind": kind.kind, **i} for i in items)

    async def apply(
        self,
        kind: ManagedKind,
        namespace: str,
        manifest: Object,
        *,
        subresource: str = "",
        manager: str = names.FIELD_MANAGER,
    ) -> Object:
        """Server-side apply as a field manager of ours, taking over what others own of it."""
        path = path_of(kind, namespace, manifest["metadata"]["name"], *filter(None, [subresource]))
        query = (("fieldManager", manager), STRICT, ("force", "true"))
        request = Request("PATCH", path, "apply", kind.kind, query, manifest, APPLY_PATCH)
        return await self._write(request)

    async def merge_metadata(
        self, kind: ManagedKind, namespace: str, name: str, metadata: Mapping[str, Any]
    ) -> Object:
        """Replace these fields of an object's metadata, whoever owns them, and nothing else.

        With uid and resourceVersion among them, only of that very object: else ApiError 409.
        """
        path = path_of(kind, namespace, name)
        body = {"metadata": metadata}
        request = Request("PATCH", path, "patch", kind.kind, WRITER, body, MERGE_PATCH)
        return await self._write(request)

    async def scale(
        self, kind: ManagedKind, namespace: str, name: str, scale: Mapping[str, Any]
    ) -> Object:
        """Set the number of pods through the scale subresource.

        With uid and resourceVersion in its metadata, only of that very object: else ApiError 409.
        """
        path = path_of(kind, namespace, name, "scale")
        return await self._write(
            Request("PATCH", path, "scale", kind.kind, WRITER, scale, MERGE_PATCH)
        )

    async def create(self, kind: ManagedKind, namespace: str, manifest: Object) -> Object:
        """Create, never update: ApiError 409 if the object exists."""
        path = path_of(kind, namespace)
        return await self._write(Request("POST", path, "create", kind.kind, WRITER, manifest))

    async def replace(self, kind: ManagedKind, namespace: str, manifest: Object) -> Object:
        """Update the whole object on its resourceVersion: ApiError 409 if somebody was faster."""
        path = path_of(kind, namespace, manifest["metadata"]["name"])
        return await self._write(Request("PUT", path, "update", kind.kind, WRITER, manifest))

    async def delete(self, kind: ManagedKind, namespace: str, name: str, *, uid: str) -> None:
        """Delete exactly the object with this uid (ApiError 409 if it is another one by now)."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        path = path_of(kind, namespace, name)
        await self._write(Request("DELETE", path, "delete", kind.kind, body=options))

    async def watch(
        self, kind: ManagedKind, namespace: str | None, *, labels: str, resource_version: str
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield watch events (metadata only, bookmarks too) until the API server ends the stream.

        ApiError 410 says that the resourceVersion is too old to continue from.
        """
        request = Request(
            "GET",
            path_of(kind, namespace),
            "watch",
            kind.kind,
            query=(
                ("watch", "true"),
                ("allowWatchBookmarks", "true"),
                ("timeoutSeconds", str(WATCH_SECONDS)),
                ("labelSelector", labels),
                ("resourceVersion", resource_version),
            ),
            accept=METADATA_ONLY,
        )
        response = await self._transport.stream(request, silence=WATCH_SILENCE)
        try:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event.get("object") or {}
                    code = int(status.get("code") or 500)
                    raise failure(request, code, json.dumps(status).encode(), {})
                yield event
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise unreachable(request, error) from error
        finally:
            response.close()

    async def _read(self, request: Request) -> Any:
        return await patiently(lambda: self._transport.send(request))

    async def _write(self, request: Request) -> Object:
        async def send() -> Object:
            # The server gives up with us: a write must not land after our time is over.
            seconds = min(self._guard(), REQUEST_TIMEOUT)
            limit = ("timeout", f"{max(1, round(seconds * 1000))}ms")
            limited = dataclasses.replace(request, query=(*request.query, limit), timeout=seconds)
            answer: Object = await self._transport.send(limited)
            return answer

        return await patiently(send)
