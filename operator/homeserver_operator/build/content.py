"""ConfigMaps and copies of Secrets, immutable and named by their content.

A pod that restarts in the middle of a change starts with its own revision, because nothing that it
mounts ever changes.
"""

import base64
from collections.abc import Mapping
from typing import Any

from homeserver_operator.api.canonical import digest, keyed_digest
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import object_meta
from homeserver_operator.validate import ValidHomeServer
from homeserver_operator.validate.sources import COPY_NAMES, TOKEN_FILE, sources_of


def build_config_map(
    server: HomeServer, process: str, files: Mapping[str, str], *, component: str
) -> dict[str, Any]:
    """One process's files."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": object_meta(
            server, f"{server.key.name}-{process}-{digest(files)}", component=component
        ),
        "immutable": True,
        "data": dict(files),
    }


def build_copies(server: ValidHomeServer) -> dict[str, dict[str, Any]]:
    """An immutable copy of everything that pods mount from Secrets and ConfigMaps, by purpose."""
    key = server.material[COPY_NAMES][TOKEN_FILE]
    return {
        source.purpose: _copy(
            server.spec, source.object.kind, source.purpose, server.material[source.purpose], key
        )
        for source in sources_of(server.spec)
        if source.purpose != COPY_NAMES
    }


def _copy(
    server: HomeServer, kind: str, purpose: str, content: Mapping[str, bytes], key: bytes
) -> dict[str, Any]:
    name = f"{server.key.name}-{purpose}-{keyed_digest(key, content)}"
    encoded = {file: base64.b64encode(data).decode() for file, data in sorted(content.items())}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": object_meta(server, name, component=purpose),
        "immutable": True,
    } | ({"data": encoded} if kind == "Secret" else {"binaryData": encoded})
