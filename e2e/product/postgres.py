"""A homeserver's own PostgreSQL, as its role reaches it from outside."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from e2e.product.kube import Kube

_LEARN_KEYS = """
INSERT INTO server_keys_json
  (server_name, key_id, from_server, ts_added_ms, ts_valid_until_ms, key_json)
VALUES (%(server)s, %(key)s, %(server)s, 0, %(until)s, %(document)s)
ON CONFLICT (server_name, key_id, from_server) DO UPDATE SET key_json = excluded.key_json
"""


@contextlib.contextmanager
def connected(dsn: str) -> Iterator[Any]:
    """A cursor whose statements each take effect at once."""
    with contextlib.closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def managed(kube: Kube, homeserver: str) -> str:
    """How to reach the managed one: by its Service's address and the generated password."""
    host = kube.get("service", f"{homeserver}-postgres")["spec"]["clusterIP"]
    (password,) = kube.get("secret", f"{homeserver}-postgres")["data"].values()
    dsn: str = make_dsn(
        host=host,
        dbname="synapse",
        user="synapse",
        password=base64.b64decode(password).decode(),
        connect_timeout=2,
    )
    return dsn


def learn_keys(dsn: str, document: Mapping[str, Any]) -> None:
    """As if another server's answer to /_matrix/key/v2/server had been fetched."""
    with connected(dsn) as cursor:
        for key in document["verify_keys"]:
            row = {
                "server": document["server_name"],
                "key": key,
                "until": document["valid_until_ts"],
                "document": json.dumps(document).encode(),
            }
            cursor.execute(_LEARN_KEYS, row)


def make_another(kube: Kube, homeserver: str, name: str, password: str) -> None:
    """One more database on the same server, of a role of the same name."""
    for statement in (
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
        f"CREATE DATABASE {name} OWNER {name}",
    ):
        kube.run(
            *("exec", f"deployment/{homeserver}-postgres", "--"),
            *("psql", "-h", "/tmp", "-U", "postgres", "-c", statement),  # noqa: S108 - its socket
        )
