"""Which Secrets and ConfigMaps a homeserver's processes mount, and where each comes from.

A source is a user's object or one that the operator generates once. Decides nothing about their
content, reads nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.references import SecretRef
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.validate import appservices

SIGNING_KEY: Final = "signing-key"
MACAROON: Final = "macaroon"
FORM: Final = "form"
REGISTRATION: Final = "registration"
REPLICATION: Final = "replication"
POSTGRES: Final = "postgres"
POSTGRES_CA: Final = "postgres-ca"
REDIS: Final = "redis"
REDIS_CA: Final = "redis-ca"
MAS: Final = "mas"
REDIS_CLIENT: Final = "redis-client"
S3: Final = "s3"
COPY_NAMES: Final = "copy-names"
"""Key of the hash in the names of Secret copies, so that a name tells nothing of the content."""

SIGNING_KEY_FILE: Final = "signing.key"
TOKEN_FILE: Final = "secret"  # noqa: S105 - a file name
CA_FILE: Final = "ca.crt"
CERTIFICATE_FILE: Final = "tls.crt"
PRIVATE_KEY_FILE: Final = "tls.key"

ENVIRONMENT: Final = frozenset({S3})
"""Purposes whose copies' keys become environment variables of media processes, and no files."""


@dataclass(frozen=True)
class Source:
    """One directory under /secrets or /files and the object that fills it.

    `keys` pairs the file's name in the pod with the key in the object; empty means every key as it
    is. `path` names the field of the spec for messages. `generates` is the kind of random value,
    None for objects of the user's.
    """

    purpose: str
    object: ObjectKey
    keys: tuple[tuple[str, str], ...]
    path: str
    generates: str | None = None


_OVERRIDABLE: Final = (
    (SIGNING_KEY, SIGNING_KEY_FILE, "signing-key", "signingKey"),
    (MACAROON, TOKEN_FILE, "token", "macaroonSecretKey"),
    (FORM, TOKEN_FILE, "token", "formSecret"),
    (REGISTRATION, TOKEN_FILE, "token", "registrationSharedSecret"),
    (REPLICATION, TOKEN_FILE, "token", "workerReplicationSecret"),
)


def sources_of(server: HomeServer) -> tuple[Source, ...]:
    """Everything that this homeserver mounts from Secrets and ConfigMaps."""
    return (
        *_secrets(server),
        *_postgres(server),
        *_redis(server),
        *_authentication(server),
        *_appservices(server),
        *_s3(server),
        *_config_from(server),
        *_files(server),
    )


def generated_names(server: HomeServer) -> frozenset[str]:
    """Names of all Secrets that the operator makes for this homeserver, or made under another spec.

    One that is not in use now may be needed again: the spec can go back.
    """
    purposes = [COPY_NAMES, POSTGRES, REDIS, *(purpose for purpose, *_rest in _OVERRIDABLE)]
    return frozenset(f"{server.key.name}-{purpose}" for purpose in purposes)


def _generated(server: HomeServer, purpose: str, file: str, kind: str) -> Source:
    key = ObjectKey("Secret", f"{server.key.name}-{purpose}")
    return Source(purpose, key, ((file, file),), f"Secret {key.name}", kind)


def _referenced(purpose: str, file: str, ref: SecretRef, path: str) -> Source:
    return Source(purpose, ObjectKey("Secret", ref.secret_name), ((file, ref.key),), path)


def _secrets(server: HomeServer) -> Iterator[Source]:
    yield _generated(server, COPY_NAMES, TOKEN_FILE, "token")
    for purpose, file, kind, field in _OVERRIDABLE:
        if ref := server.secrets.get(field):
            yield _referenced(purpose, file, ref, f"spec.secrets.{field}")
        else:
            yield _generated(server, purpose, file, kind)


def _postgres(server: HomeServer) -> Iterator[Source]:
    postgres = server.postgres.server
    if not isinstance(postgres, ExternalPostgres):
        yield _generated(server, POSTGRES, "password", "token")
        return
    yield Source(
        POSTGRES,
        ObjectKey("Secret", postgres.secret_name),
        (("username", postgres.username_key), ("password", postgres.password_key)),
        "spec.postgres.credentials",
    )
    if postgres.ca:
        yield _referenced(POSTGRES_CA, CA_FILE, postgres.ca, "spec.postgres.caSecret")


def _redis(server: HomeServer) -> Iterator[Source]:
    redis = server.redis
    if not isinstance(redis, ExternalRedis):
        yield _generated(server, REDIS, "password", "token")
        return
    if redis.secret_name:
        keys = [("password", redis.password_key)]
        if redis.username_key:
            keys.append(("username", redis.username_key))
        secret = ObjectKey("Secret", redis.secret_name)
        yield Source(REDIS, secret, tuple(keys), "spec.redis.credentials")
    if redis.ca:
        yield _referenced(REDIS_CA, CA_FILE, redis.ca, "spec.redis.tls.caSecret")
    if redis.client_certificate:
        files = tuple((file, file) for file in (CERTIFICATE_FILE, PRIVATE_KEY_FILE))
        secret = ObjectKey("Secret", redis.client_certificate)
        yield Source(REDIS_CLIENT, secret, files, "spec.redis.tls.clientCertificate")


def _s3(server: HomeServer) -> Iterator[Source]:
    bucket = server.media.s3
    if bucket and bucket.secret_name:
        yield Source(
            S3,
            ObjectKey("Secret", bucket.secret_name),
            (
                ("AWS_ACCESS_KEY_ID", bucket.access_key_id_key),
                ("AWS_SECRET_ACCESS_KEY", bucket.secret_access_key_key),
            ),
            "spec.mediaStore.s3.credentials",
        )


def _authentication(server: HomeServer) -> Iterator[Source]:
    if mas := server.authentication:
        path = "spec.matrixAuthenticationService.secret"
        yield _referenced(MAS, TOKEN_FILE, mas.secret, path)


def _appservices(server: HomeServer) -> Iterator[Source]:
    for service in server.appservices:
        path = f"spec.appservices[{service.name}]"
        yield _referenced(
            appservices.purpose(service.name), appservices.FILE, service.registration, path
        )


def _config_from(server: HomeServer) -> Iterator[Source]:
    for index, ref in enumerate(server.config_from):
        path = f"spec.configFrom[{index}]"
        yield _referenced(f"config-{index}", "homeserver.yaml", ref, path)


def _files(server: HomeServer) -> Iterator[Source]:
    for file in server.files:
        kind, name = (
            ("Secret", file.secret_name)
            if file.secret_name
            else ("ConfigMap", file.config_map_name or "")
        )
        path = f"spec.files[{file.name}]"
        yield Source(f"file-{file.name}", ObjectKey(kind, name), (), path)
