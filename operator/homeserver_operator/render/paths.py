"""Where things lie inside a pod, and how processes reach each other."""

from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.spec import HomeServer

CONFIG: Final = "/config"
PROCESS_VOLUME: Final = "process"
"""The volume with a process's own files."""
SECRETS: Final = "/secrets"
RUN: Final = "/run/homeserver"
MEDIA: Final = "/media"
FILES: Final = "/files"
PASSFILE: Final = f"{RUN}/pgpass"


def secret(purpose: str, file: str) -> str:
    """Path of one mounted secret."""
    return f"{SECRETS}/{purpose}/{file}"


@dataclass(frozen=True)
class Addresses:
    """Host names of Services: the replication Service of each process by name, and the stores."""

    replication: dict[str, str]
    postgres: str
    redis: str


def client_service_name(server: HomeServer, route_class: str) -> str:
    """<homeserver>-<route class>; `main` for what falls to the main process."""
    return f"{server.key.name}-{route_class}"
