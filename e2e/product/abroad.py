"""Another homeserver, as far as it asks: signed as the federation's protocol wants it.

Whom it asks knows its key already, as from an earlier request; it can be asked nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from signedjson.key import generate_signing_key, get_verify_key
from signedjson.sign import sign_json

from e2e.product.homeserver import RunningHomeServer
from e2e.product.mix import ELSEWHERE
from e2e.product.plain import Plain
from e2e.product.postgres import learn_key, managed


class Abroad(Plain):
    """That server; `destination` is the name of the server that it asks.

    Use as an asynchronous context manager, or open it before use, and close it.
    """

    def __init__(self, ingress: str, host: str, destination: str) -> None:
        super().__init__(ingress, host)
        self._destination = destination
        self._key = generate_signing_key("1")

    @property
    def key(self) -> tuple[str, bytes]:
        """The key's id, and what signatures are verified with."""
        return f"ed25519:{self._key.version}", get_verify_key(self._key).encode()

    def authorization(self, method: str, path: str, body: object) -> str:
        """The header of the server-server API, "Request Authentication"."""
        signed: dict[str, Any] = {
            "method": method,
            "uri": path,
            "origin": ELSEWHERE,
            "destination": self._destination,
            **({} if body is None else {"content": body}),
        }
        (signature,) = sign_json(signed, ELSEWHERE, self._key)["signatures"][ELSEWHERE].items()
        fields = {
            "origin": ELSEWHERE,
            "destination": self._destination,
            "key": signature[0],
            "sig": signature[1],
        }
        return "X-Matrix " + ",".join(f"{name}={json.dumps(each)}" for name, each in fields.items())


@asynccontextmanager
async def abroad(server: RunningHomeServer) -> AsyncIterator[Abroad]:
    """One that asks a homeserver, with the operator's own PostgreSQL, through the Ingress."""
    cluster, name = server.installation.cluster, server.resource["spec"]["serverName"]
    other = Abroad(cluster.ingress, server.host, name)
    learn_key(managed(server.kube, server.name), ELSEWHERE, *other.key)
    other.open()
    try:
        yield other
    finally:
        await other.close()
