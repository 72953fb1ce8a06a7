"""A homeserver's own PostgreSQL, as its role reaches it from outside."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from e2e.product.kube import Kube

_LEARN_KEY = """
INSERT INTO server_signature_keys
  (server_name, key_id, from_server, verify_key, ts_added_ms, ts_valid_until_ms)
VALUES (%s, %s, %s, %s, 0, %s)
ON CONFLICT (server_name, key_id) DO UPDATE SET verify_key = excluded.verify_key
"""
_FOREVER = 4_000_000_000_000
"""Milliseconds since 1970: in 2096."""


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


def learn_key(dsn: str, server: str, key: str, verify_key: bytes) -> None:
    """As if the key of another server had been fetched from that; it stays valid."""
    with connected(dsn) as cursor:
        cursor.execute(_LEARN_KEY, (server, key, server, verify_key, _FOREVER))


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
