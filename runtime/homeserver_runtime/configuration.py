"""Makes the homeserver.yaml that Synapse reads out of the files that are mounted.

Merges what comes from Secrets in memory, sets what only the pod knows, and writes the result where
nobody but this process reads. Never logs or quotes a value.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import yaml

from homeserver_runtime.contract import (
    ConfigurationRefusedError,
    Launch,
    Paths,
    read_mapping,
    read_text,
)
from homeserver_runtime.label import label
from homeserver_runtime.listeners import ANY_IPV4

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONNECT_SECONDS = 5
"""For each connection to the database, Synapse's own as well: a server that is gone says nothing,
and libpq's own patience is the kernel's, or without end."""

_LISTENERS = ("listeners", "worker_listeners")
_WORKER_APP = "synapse.app.generic_worker"
_WELL_KNOWN = "homeserver_runtime.well_known.WellKnownModule"


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """`overlay` over `base`: mappings deeply; lists, scalars and null are replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        present = merged.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            merged[key] = merge(present, value)
        else:
            merged[key] = value
    return merged


def pgpass_line(password: str) -> str:
    """The line of a passfile by which libpq finds `password`, whatever server it connects to."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def assemble(launch: Launch, paths: Paths) -> dict[str, Any]:
    """Everything that Synapse is to read, as one mapping.

    Raises:
        ConfigurationRefusedError: if a file is missing or cannot be understood.

    """
    content = read_mapping(paths.homeserver_yaml)
    for overlay in launch.config_from:
        content = merge(content, read_mapping(overlay, secret=True))

    if launch.role == "worker":
        content["worker_name"] = launch.name
        content.setdefault("worker_app", _WORKER_APP)
        content["worker_log_config"] = str(paths.log_yaml)
    content["log_config"] = str(paths.log_yaml)
    if launch.pod_address and ":" in launch.pod_address:
        # Only the pod knows that Services lead to it by IPv6.
        content |= {key: list(map(_of_both_families, content.get(key) or ())) for key in _LISTENERS}
    if launch.well_known_server is not None:
        # After the Secrets, which may have modules of their own.
        ours = {"module": _WELL_KNOWN, "config": {"server": launch.well_known_server}}
        content["modules"] = [*(content.get("modules") or ()), ours]

    arguments = _database_arguments(content, paths.homeserver_yaml)
    arguments.setdefault("connect_timeout", CONNECT_SECONDS)
    # Keepalives are for who is idle: who has just asked a dead node something waits a quarter of an
    # hour for its kernel to give up, with a connection of the pool.
    arguments.setdefault("tcp_user_timeout", round(silent_seconds(arguments) * 1000))
    arguments["application_name"] = label(launch.name, {}, launch.pod_name)
    if launch.username_file is not None:
        arguments["user"] = _credential(launch.username_file)
    if launch.password_file is not None:
        arguments["passfile"] = str(paths.pgpass)
    return content


def _of_both_families(listener: Mapping[str, Any]) -> dict[str, Any]:
    everywhere = listener.get("bind_addresses") == [ANY_IPV4]
    return {**listener, "bind_addresses": ["::"]} if everywhere else dict(listener)


def silent_seconds(arguments: Mapping[str, Any]) -> float:
    """After how long without a sign of life libpq's arguments give a server up; 0: the kernel's."""
    idle, interval, count = (
        float(arguments.get(f"keepalives_{name}", 0)) for name in ("idle", "interval", "count")
    )
    return idle + interval * count


def _database_arguments(content: dict[str, Any], source: Path) -> dict[str, Any]:
    """`database.args` of `content`, copied so that it can be filled in."""
    database = content.get("database")
    if not isinstance(database, dict) or not isinstance(database.get("args"), dict):
        raise ConfigurationRefusedError(f"{source}: database.args must be a mapping")
    if database.get("name") != "psycopg2":
        raise ConfigurationRefusedError(
            f"{source}: database.name must be psycopg2, not {database.get('name')!r}: "
            "several processes cannot share an SQLite file"
        )
    arguments = dict(database["args"])
    content["database"] = database | {"args": arguments}
    return arguments


def write_pgpass(launch: Launch, paths: Paths) -> None:
    """Writes libpq's passfile, if the process has a password.

    Raises:
        ConfigurationRefusedError: if the password is missing or cannot stand in a passfile.

    """
    if launch.password_file is not None:
        _write_private(paths.pgpass, pgpass_line(_credential(launch.password_file)))


def write_finished(content: Mapping[str, Any], paths: Paths) -> Path:
    """Writes what Synapse reads, and reads again on SIGHUP; returns where."""
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    _write_private(paths.finished_homeserver_yaml, text)
    return paths.finished_homeserver_yaml


def _credential(path: Path) -> str:
    """A user name or password, without the line end that editors leave at a file's end."""
    value = read_text(path).rstrip("\r\n")
    if not value:
        raise ConfigurationRefusedError(f"{path} is empty")
    if any(character in value for character in "\r\n\0"):
        raise ConfigurationRefusedError(f"{path} holds more than one line")
    return value


def _write_private(path: Path, text: str) -> None:
    """Replaces `path` by a file of mode 0600; no moment has a wider mode or half the text."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
