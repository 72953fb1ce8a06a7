"""The HomeServer's spec as frozen values, and the parser that makes them.

The CRD's schema has already checked types, enums and bounds; static defaults that the schema
gives are repeated here only as the dataclasses' defaults, so that tests and offline plans need no
API server. What the spec *means* is decided in `validate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.access import (
    Ingress,
    MatrixAuthenticationService,
    NetworkAccess,
    parse_authentication,
    parse_ingress,
    parse_network,
)
from homeserver_operator.api.groups import ProcessOptions, WorkerGroup, parse_group, parse_options
from homeserver_operator.api.names import APPROVED_PLAN_ANNOTATION
from homeserver_operator.api.references import SecretRef
from homeserver_operator.api.restarts import RestartPolicy, parse_restart_policy
from homeserver_operator.api.router import Router, parse_router
from homeserver_operator.api.stores import (
    ExternalRedis,
    ManagedRedis,
    MediaStore,
    Postgres,
    parse_media,
    parse_postgres,
    parse_redis,
)
from homeserver_operator.api.world import Key, Object


@dataclass(frozen=True)
class AppserviceRef:
    """Where an application service's registration is."""

    name: str
    registration: SecretRef


@dataclass(frozen=True)
class UserFile:
    """A Secret or ConfigMap that the user mounts at /files/<name>/."""

    name: str
    secret_name: str | None
    config_map_name: str | None


@dataclass(frozen=True)
class Retention:
    """What outlives the HomeServer; each is "Retain" or "Delete"."""

    secrets: str = "Retain"
    database: str = "Retain"
    media: str = "Retain"


@dataclass(frozen=True)
class HomeServer:
    """A HomeServer as its owner wrote it."""

    key: Key
    uid: str
    generation: int
    server_name: str
    image: str | None = None
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    paused: bool = False
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    approved_plan: str | None = None
    main: ProcessOptions = field(default_factory=ProcessOptions)
    workers: tuple[WorkerGroup, ...] = ()
    postgres: Postgres = field(default_factory=Postgres)
    redis: ExternalRedis | ManagedRedis = field(default_factory=ManagedRedis)
    media: MediaStore = field(default_factory=MediaStore)
    ingress: Ingress = field(default_factory=Ingress)
    router: Router | None = None
    network: NetworkAccess = field(default_factory=NetworkAccess)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)
    authentication: MatrixAuthenticationService | None = None
    appservices: tuple[AppserviceRef, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    config_from: tuple[SecretRef, ...] = ()
    files: tuple[UserFile, ...] = ()
    log_level: str = "INFO"
    retention: Retention = Retention()

    @property
    def server_host(self) -> str:
        """The server name without its port: where clients and servers look for .well-known."""
        name = self.server_name
        return name if name.endswith("]") else name.rsplit(":", 1)[0]

    @property
    def client_host(self) -> str:
        """The host name by which clients come in."""
        return self.ingress.host or self.server_host


def parse(body: Object) -> HomeServer:
    """Read a HomeServer from the API server's object.

    Raises KeyError or TypeError for an object that the CRD's schema would have refused.
    """
    metadata, spec = body["metadata"], body["spec"]
    return HomeServer(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        server_name=spec["serverName"],
        image=spec.get("image"),
        image_pull_policy=spec.get("imagePullPolicy"),
        image_pull_secrets=tuple(ref["name"] for ref in spec.get("imagePullSecrets", ())),
        paused=spec.get("paused", False),
        restart_policy=parse_restart_policy(spec.get("restartPolicy", {})),
        approved_plan=(metadata.get("annotations") or {}).get(APPROVED_PLAN_ANNOTATION),
        main=parse_options(spec.get("main", {})),
        workers=tuple(parse_group(group) for group in spec.get("workers", ())),
        postgres=parse_postgres(spec.get("postgres", {})),
        redis=parse_redis(spec.get("redis", {})),
        media=parse_media(spec.get("mediaStore", {})),
        ingress=parse_ingress(spec.get("ingress", {})),
        router=parse_router(spec.get("router")),
        network=parse_network(spec.get("networkPolicy", {})),
        secrets={
            name: SecretRef(ref["secretName"], ref["key"])
            for name, ref in spec.get("secrets", {}).items()
        },
        authentication=parse_authentication(spec.get("matrixAuthenticationService")),
        appservices=tuple(
            AppserviceRef(
                service["name"],
                SecretRef(service["secretName"], service.get("key", "registration.yaml")),
            )
            for service in spec.get("appservices", ())
        ),
        config=spec.get("config", {}),
        config_from=tuple(
            SecretRef(ref["secretName"], ref.get("key", "homeserver.yaml"))
            for ref in spec.get("configFrom", ())
        ),
        files=tuple(
            UserFile(file["name"], file.get("secretName"), file.get("configMapName"))
            for file in spec.get("files", ())
        ),
        log_level=spec.get("logLevel", "INFO"),
        retention=Retention(**spec.get("retention", {})),
    )
