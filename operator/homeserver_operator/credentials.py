"""Makes the Secrets that must exist before anything else: created once, never replaced.

The only place where secret values come into being. They go to the API server and nowhere else.
"""

import base64
import secrets
from typing import Final

from homeserver_operator.api.actions import Generate
from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.cluster import ApiError, Cluster
from homeserver_operator.ownership import owned_by

SIGNING_KEY_BYTES: Final = 32
TOKEN_BYTES: Final = 48
"""48 bytes are 64 characters of URL-safe base64, without padding."""


async def create(cluster: Cluster, server: Object, order: Generate) -> ObjectKey | None:
    """Create the Secret; return its key if the name is taken by somebody else's object.

    An existing Secret of this HomeServer is left as it is, whatever it holds.
    """
    namespace = server["metadata"]["namespace"]
    key = ObjectKey("Secret", order.manifest["metadata"]["name"])
    data = {name: base64.b64encode(value(kind)).decode() for name, kind in order.kinds}
    try:
        await cluster.create(BY_KIND["Secret"], namespace, {**order.manifest, "data": data})
    except ApiError as error:
        if error.status != 409:
            raise
    else:
        return None
    existing = await cluster.get(BY_KIND["Secret"], namespace, key.name, metadata_only=True)
    if existing is None:
        raise ApiError(409, "Conflict", f"Secret/{key.name} comes and goes; trying again")
    return None if owned_by(existing, server) else key


def value(kind: str) -> bytes:
    """Make a random value of the kind that the order names."""
    if kind == "token":
        return secrets.token_urlsafe(TOKEN_BYTES).encode()
    if kind == "signing-key":
        return _signing_key()
    msg = f"no such kind of generated value: {kind}"
    raise ValueError(msg)


def _signing_key() -> bytes:
    """An ed25519 key in Synapse's file format: algorithm, version, unpadded base64 of the seed."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    version = "a_" + "".join(secrets.choice(alphabet) for _ in range(4))
    seed = base64.b64encode(secrets.token_bytes(SIGNING_KEY_BYTES)).decode().rstrip("=")
    return f"ed25519 {version} {seed}\n".encode()
