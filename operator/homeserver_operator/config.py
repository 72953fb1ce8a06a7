"""The operator's own settings: parsed once from the environment, frozen from then on.

A value that cannot be used is refused with the variable's name and the remedy. Nothing about a
single homeserver belongs here.
"""

import logging
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.world import Defaults

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class ConfigError(ValueError):
    """An environment variable that the operator cannot work with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one operator process.

    `namespaces` empty means the whole cluster. `kubeconfig` None means the pod's own service
    account. `resync` is the period in seconds after which every HomeServer is looked at again.
    """

    defaults: Defaults
    namespace: str
    identity: str
    namespaces: tuple[str, ...] = ()
    lease_name: str = "homeserver-operator"
    kubeconfig: str | None = None
    concurrency: int = 4
    resync: float = 600.0
    http_port: int = 8080
    log_level: int = logging.INFO


def parse(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raises ConfigError that names the variable and the remedy."""
    listed = (entry.strip() for entry in environ.get("WATCH_NAMESPACES", "").split(","))
    namespaces = tuple(dict.fromkeys(filter(None, listed)))
    for namespace in namespaces:
        if not _NAMESPACE.fullmatch(namespace):
            msg = f"WATCH_NAMESPACES: {namespace!r} is no namespace name; list names with commas"
            raise ConfigError(msg)
    return Settings(
        defaults=Defaults(
            image=_required(environ, "SYNAPSE_IMAGE"),
            postgres_image=_required(environ, "POSTGRES_IMAGE"),
            redis_image=_required(environ, "REDIS_IMAGE"),
            router_image=_required(environ, "ROUTER_IMAGE"),
            image_pull_policy=_choice(environ, "IMAGE_PULL_POLICY", "IfNotPresent", _PULL_POLICIES),
        ),
        namespace=_required(environ, "POD_NAMESPACE"),
        identity=environ.get("POD_NAME") or socket.gethostname(),
        namespaces=namespaces,
        lease_name=environ.get("LEASE_NAME") or "homeserver-operator",
        kubeconfig=environ.get("KUBECONFIG") or None,
        concurrency=_whole(environ, "CONCURRENCY", default=4, least=1, most=64),
        resync=float(_whole(environ, "RESYNC_SECONDS", default=600, least=30, most=86400)),
        http_port=_whole(environ, "HTTP_PORT", default=8080, least=1, most=65535),
        log_level=logging.getLevelNamesMapping()[
            _choice(environ, "LOG_LEVEL", "INFO", _LOG_LEVELS)
        ],
    )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        msg = f"{name} is not set; the Helm chart sets it on the operator's Deployment"
        raise ConfigError(msg)
    return value


def _choice(environ: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = environ.get(name) or default
    if value not in choices:
        msg = f"{name}: {value!r} is not one of {', '.join(choices)}"
        raise ConfigError(msg)
    return value


def _whole(environ: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        msg = f"{name}: {text!r} is not a whole number from {least} to {most}"
        raise ConfigError(msg)
    return int(text)
