"""What the operator rendered: its files, and what the agent reads of them. Pure."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT: Final = "agent.json"
HAPROXY: Final = "haproxy.cfg"
PODS: Final = "pods.map"
"""Which pod has which address; the agent keeps it."""

_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class ConfigurationRefusedError(Exception):
    """A configuration that cannot be used; the message says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Fallback:
    """Who answers when a backend has had no process for `after` seconds."""

    server: str
    service: str
    after: float


@dataclasses.dataclass(frozen=True)
class Backend:
    """A backend of HAProxy: the Service that it follows, and how many pods there is room for.

    `port` is that of a Service of somebody else's, which is reached by its name.
    """

    service: str
    slots: int
    fallback: Fallback | None = None
    port: int | None = None


@dataclasses.dataclass(frozen=True)
class Configuration:
    """One configuration, by the name of its ConfigMap."""

    name: str
    files: Mapping[str, str]
    backends: Mapping[str, Backend]

    @classmethod
    def parse(cls, name: str, files: Mapping[str, str]) -> Configuration:
        """Read what concerns the agent.

        Raises:
            ConfigurationRefusedError: if that is not possible.

        """
        for file in files:
            if not _FILE.match(file):
                raise ConfigurationRefusedError(f"{file!r} is no name of a file")
        for file in (AGENT, HAPROXY):
            if file not in files:
                raise ConfigurationRefusedError(f"{name} lacks {file}")
        try:
            content = json.loads(files[AGENT])
            backends = {backend: _backend(entry) for backend, entry in content["backends"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationRefusedError(f"{AGENT} of {name}: {error!r}") from error
        return cls(name, dict(files), backends)

    def slots(self) -> dict[str, int]:
        """How many slots each Service of ours has: those of its largest backend."""
        found: dict[str, int] = {}
        for backend in self.backends.values():
            if backend.port is None:
                found[backend.service] = max(found.get(backend.service, 0), backend.slots)
        return found

    def named(self) -> dict[str, int]:
        """The ports of the Services that are somebody else's."""
        return {each.service: each.port for each in self.backends.values() if each.port}


def _backend(entry: Mapping[str, Any]) -> Backend:
    slots = int(entry["slots"])
    if slots < 1:
        raise ValueError("slots must be at least 1")
    fallback = entry.get("fallback")
    return Backend(
        service=str(entry["service"]),
        slots=slots,
        fallback=Fallback(
            server=str(fallback.get("server", "main")),
            service=str(fallback["service"]),
            after=float(fallback["after"]),
        )
        if fallback
        else None,
        port=int(entry["port"]) if entry.get("byName") else None,
    )
