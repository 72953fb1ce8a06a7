"""Another homeserver, as far as it asks: signed as the federation's protocol wants it.

Whom it asks knows its key already, as from an earlier request; it can be asked nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key
from signedjson.sign import sign_json

from e2e.product.homeserver import RunningHomeServer
from e2e.product.mix import ELSEWHERE
from e2e.product.plain import Answer, Plain
from e2e.product.postgres import learn_keys, managed

_SEND = "/_matrix/federation/v1/send/"
_FOREVER = 4_000_000_000_000
"""Milliseconds since 1970: in 2096."""


class Abroad(Plain):
    """That server; `destination` is the name of the server that it asks."""

    def __init__(self, ingress: str, host: str, destination: str) -> None:
        super().__init__(ingress, host)
        self._destination = destination
        self._one = asyncio.Lock()
        # Synapse remembers which keys it knows, and which it does not.
        self._key = generate_signing_key(secrets.token_hex(4))

    @property
    def keys(self) -> Any:
        """What it would answer at /_matrix/key/v2/server."""
        key = {"key": encode_verify_key_base64(get_verify_key(self._key))}
        document = {
            "server_name": ELSEWHERE,
            "valid_until_ts": _FOREVER,
            "verify_keys": {f"ed25519:{self._key.version}": key},
            "old_verify_keys": {},
        }
        return sign_json(document, ELSEWHERE, self._key)

    async def call(
        self, method: str, path: str, body: object = None, *, agent: str = "e2e"
    ) -> Answer:
        """As ever; but transactions go one after the other, as the protocol has it."""
        one = self._one if _SEND in path else contextlib.nullcontext()
        async with one:
            return await super().call(method, path, body, agent=agent)

    def authorization(self, method: str, path: str, body: object) -> str:
        """The header of the server-server API, "Request Authentication"."""
        between = {"origin": ELSEWHERE, "destination": self._destination}
        signed: dict[str, Any] = {"method": method, "uri": path, **between}
        if body is not None:
            signed["content"] = body
        signatures = sign_json(signed, ELSEWHERE, self._key)["signatures"][ELSEWHERE]
        ((key, signature),) = signatures.items()
        fields = {**between, "key": key, "sig": signature}
        return "X-Matrix " + ",".join(f"{name}={json.dumps(each)}" for name, each in fields.items())


@asynccontextmanager
async def abroad(server: RunningHomeServer) -> AsyncIterator[Abroad]:
    """One that asks a homeserver, with the operator's own PostgreSQL, through the Ingress."""
    cluster, name = server.installation.cluster, server.resource["spec"]["serverName"]
    async with Abroad(cluster.ingress, server.host, name) as other:
        learn_keys(managed(server.kube, server.name), other.keys)
        yield other
