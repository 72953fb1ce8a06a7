"""The files that a pod template's process reads, as values, for telling what differs.

They may be of another rendering, or edited by somebody: what cannot be read is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from homeserver_operator.api.world import Object
from homeserver_operator.render import paths

SETTINGS = "homeserver.yaml"


@dataclass(frozen=True)
class Connections:
    """Whom a process connects to.

    `database` is its host, port and name, `redis` a host and port; None if that is not known.
    `senders` are the instances that make its requests to other servers; none if it does itself.
    """

    database: tuple[str, int, str] | None
    redis: tuple[str, int] | None
    senders: tuple[str, ...]

    @property
    def stores(self) -> tuple[tuple[str, int], ...] | None:
        """Hosts and ports of both; None if one is not known."""
        if self.database is None or self.redis is None:
            return None
        return self.database[:2], self.redis


def files_of(template: Object, maps: Mapping[str, Object]) -> dict[str, Any] | None:
    """By name; None if the ConfigMap is not among `maps`. A pod will do for a template."""
    found = maps.get(config_map_of(template) or "")
    if found is None:
        return None
    return {name: _parsed(text) for name, text in found.get("data", {}).items()}


def connections_of(template: Object, maps: Mapping[str, Object]) -> Connections | None:
    """Of the process of a template; None if the ConfigMap is not among `maps`."""
    found = maps.get(config_map_of(template) or "")
    return None if found is None else _connections(found.get("data", {}).get(SETTINGS, ""))


def config_map_of(template: Object) -> str | None:
    """The name of the ConfigMap that holds a process's files."""
    for volume in template["spec"].get("volumes", ()):
        if "configMap" in volume and volume["name"] == paths.PROCESS_VOLUME:
            return str(volume["configMap"].get("name"))
    return None


@lru_cache(maxsize=2048)
def _connections(text: str) -> Connections:
    """Remembered for more processes than a homeserver has: to read a file takes milliseconds."""
    settings = _mapping(_parsed(text))
    arguments = _mapping(_mapping(settings.get("database")).get("args"))
    database = _address(arguments)
    senders = settings.get("outbound_federation_restricted_to")
    return Connections(
        (*database, str(arguments.get("dbname"))) if database else None,
        _address(_mapping(settings.get("redis"))),
        tuple(map(str, senders)) if isinstance(senders, list) else (),
    )


def _address(settings: Mapping[str, Any]) -> tuple[str, int] | None:
    host, port = settings.get("host"), settings.get("port")
    return (str(host), port) if host and isinstance(port, int) else None


@lru_cache(maxsize=512)
def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
