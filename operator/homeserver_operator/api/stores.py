"""Where a homeserver keeps its data: database, Redis and media, as the spec has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.references import SecretRef


@dataclass(frozen=True)
class Volume:
    """Size (a Kubernetes quantity) and class of a volume that we claim, or an existing claim."""

    size: str = "10Gi"
    storage_class_name: str | None = None
    access_mode: str = "ReadWriteOnce"
    existing_claim: str | None = None


@dataclass(frozen=True)
class ExternalPostgres:
    """A PostgreSQL that somebody else runs."""

    host: str
    port: int
    database: str
    secret_name: str
    username_key: str
    password_key: str
    ssl_mode: str | None
    ca: SecretRef | None


@dataclass(frozen=True)
class ManagedPostgres:
    """The single PostgreSQL that the operator runs, for evaluation."""

    image: str | None = None
    storage: Volume = Volume()
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Postgres:
    """Where the database is, and the bounds of each process's connection pool."""

    server: ExternalPostgres | ManagedPostgres = ManagedPostgres()
    min_connections: int = 5
    max_connections: int = 10


@dataclass(frozen=True)
class ExternalRedis:
    """A Redis that somebody else runs."""

    host: str
    port: int
    database: int
    secret_name: str | None
    username_key: str | None
    password_key: str
    tls: bool
    ca: SecretRef | None
    client_certificate: str | None = None
    """Name of a Secret of type kubernetes.io/tls."""


@dataclass(frozen=True)
class ManagedRedis:
    """The Redis that the operator runs. It holds no data that Synapse could not lose."""

    image: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3 that media are copied to. `secret_name` None: the client finds credentials."""

    name: str
    region: str | None
    endpoint: str | None
    prefix: str
    secret_name: str | None
    access_key_id_key: str
    secret_access_key_key: str
    store_local: bool
    store_remote: bool
    store_synchronous: bool


@dataclass(frozen=True)
class MediaStore:
    """Where media are: always on a volume, perhaps in a bucket too."""

    volume: Volume = Volume()
    s3: Bucket | None = None


def _volume(spec: Mapping[str, Any]) -> Volume:
    return Volume(
        size=str(spec.get("size", "10Gi")),
        storage_class_name=spec.get("storageClassName"),
        access_mode=spec.get("accessMode", "ReadWriteOnce"),
        existing_claim=spec.get("existingClaim"),
    )


def _certificate(ref: Mapping[str, Any] | None) -> SecretRef | None:
    return SecretRef(ref["secretName"], ref.get("key", "ca.crt")) if ref else None


def parse_postgres(spec: Mapping[str, Any]) -> Postgres:
    """Read spec.postgres."""
    connections = spec.get("connections", {})
    server: ExternalPostgres | ManagedPostgres
    if "host" in spec:
        credentials = spec.get("credentials", {})
        server = ExternalPostgres(
            host=spec["host"],
            port=spec.get("port", 5432),
            database=spec.get("database", "synapse"),
            secret_name=credentials.get("secretName", ""),
            username_key=credentials.get("usernameKey", "username"),
            password_key=credentials.get("passwordKey", "password"),
            ssl_mode=spec.get("sslMode"),
            ca=_certificate(spec.get("caSecret")),
        )
    else:
        managed = spec.get("managed", {})
        server = ManagedPostgres(
            image=managed.get("image"),
            storage=_volume(managed.get("storage", {})),
            resources=managed.get("resources", {}),
        )
    return Postgres(server, connections.get("min", 5), connections.get("max", 10))


def parse_redis(spec: Mapping[str, Any]) -> ExternalRedis | ManagedRedis:
    """Read spec.redis."""
    if "host" not in spec:
        managed = spec.get("managed", {})
        return ManagedRedis(image=managed.get("image"), resources=managed.get("resources", {}))
    credentials = spec.get("credentials", {})
    return ExternalRedis(
        host=spec["host"],
        port=spec.get("port", 6379),
        database=spec.get("database", 0),
        secret_name=credentials.get("secretName"),
        username_key=credentials.get("usernameKey"),
        password_key=credentials.get("passwordKey", "password"),
        tls="tls" in spec,
        ca=_certificate(spec.get("tls", {}).get("caSecret")),
        client_certificate=spec.get("tls", {}).get("clientCertificate", {}).get("secretName"),
    )


def parse_media(spec: Mapping[str, Any]) -> MediaStore:
    """Read spec.mediaStore."""
    return MediaStore(
        volume=_volume(spec.get("volume", {})),
        s3=_bucket(spec["s3"]) if "s3" in spec else None,
    )


def _bucket(spec: Mapping[str, Any]) -> Bucket:
    credentials = spec.get("credentials", {})
    return Bucket(
        name=spec["bucket"],
        region=spec.get("region"),
        endpoint=spec.get("endpoint"),
        prefix=spec.get("prefix", ""),
        secret_name=credentials.get("secretName"),
        access_key_id_key=credentials.get("accessKeyIdKey", "AWS_ACCESS_KEY_ID"),
        secret_access_key_key=credentials.get("secretAccessKeyKey", "AWS_SECRET_ACCESS_KEY"),
        store_local=spec.get("storeLocal", True),
        store_remote=spec.get("storeRemote", True),
        store_synchronous=spec.get("storeSynchronous", True),
    )
