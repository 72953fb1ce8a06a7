"""The files that a pod template's process reads, as values, for telling what differs."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from homeserver_operator.api.world import Object
from homeserver_operator.render import paths


def files_of(template: Object, maps: Mapping[str, Object]) -> dict[str, Any] | None:
    """By name; None if the ConfigMap is not among `maps`. A pod will do for a template."""
    found = maps.get(config_map_of(template) or "")
    return None if found is None else _documents(found)


def config_map_of(template: Object) -> str | None:
    """The name of the ConfigMap that holds a process's files."""
    for volume in template["spec"].get("volumes", ()):
        if "configMap" in volume and volume["name"] == paths.PROCESS_VOLUME:
            return str(volume["configMap"].get("name"))
    return None


def database_of(files: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """Where the database is that a process uses; None if that is not known."""
    arguments = (_settings(files).get("database") or {}).get("args")
    return tuple(map(arguments.get, ("host", "port", "dbname"))) if arguments else None


def redis_of(files: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """Where the Redis is that a process uses; None if that is not known."""
    redis = _settings(files).get("redis")
    return tuple(map(redis.get, ("host", "port"))) if redis else None


def senders_of(files: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The instances that make a process's requests to other servers; none if it does itself."""
    return tuple(_settings(files).get("outbound_federation_restricted_to") or ())


def _settings(files: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (files or {}).get("homeserver.yaml") or {}


def _documents(config_map: Object) -> dict[str, Any]:
    return {name: _parsed(text) for name, text in config_map.get("data", {}).items()}


@lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)
