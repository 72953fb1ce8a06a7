"""The user's homeserver.yaml overlay: which keys are refused, and what to write instead.

Two kinds of keys are refused: those that the operator derives from the topology (two owners would
disagree), and secrets (an overlay lies in a ConfigMap for everybody to read). Everything else is
Synapse's to judge.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from homeserver_operator.api.spec import HomeServer

_FIELDS = "it follows from the resource"
_GONE = "this option is gone from Synapse; the instance map replaces it"

OWNED: Final[Mapping[str, str]] = {
    "server_name": "set spec.serverName",
    "database": "set spec.postgres",
    "databases": "set spec.postgres; several databases are not supported",
    "redis": "set spec.redis",
    "listeners": f"{_FIELDS}; listeners are not configurable",
    "worker_listeners": f"{_FIELDS}; listeners are not configurable",
    "bind_port": f"{_FIELDS}; listeners are not configurable",
    "bind_host": f"{_FIELDS}; listeners are not configurable",
    "unsecure_port": f"{_FIELDS}; listeners are not configurable",
    "manhole": f"{_FIELDS}; listeners are not configurable",
    "worker_manhole": f"{_FIELDS}; listeners are not configurable",
    "instance_map": f"{_FIELDS}; set workers[].writes",
    "stream_writers": "set workers[].writes",
    "federation_sender_instances": "set workers[].runs: [federationSender]",
    "send_federation": "set workers[].runs: [federationSender]",
    "pusher_instances": "set workers[].runs: [pusher]",
    "start_pushers": "set workers[].runs: [pusher]",
    "outbound_federation_restricted_to": "set workers[].runs: [outboundFederation]",
    "run_background_tasks_on": "set workers[].runs: [backgroundTasks]",
    "update_user_directory_from_worker": "set workers[].runs: [userDirectory]",
    "update_user_directory": "set workers[].runs: [userDirectory]",
    "notify_appservices_from_worker": "set workers[].runs: [appservices]",
    "notify_appservices": "set workers[].runs: [appservices]",
    "enable_media_repo": "set workers[].serves: [media]",
    "media_instance_running_background_jobs": "set workers[].runs: [mediaBackgroundJobs]",
    "media_store_path": "set spec.mediaStore",
    "metrics_port": "metrics are always on, on port 9000 of each pod",
    "metrics_bind_host": "metrics are always on, on port 9000 of each pod",
    "enable_metrics": "metrics are always on, on port 9000 of each pod",
    "log_config": "set spec.logLevel or workers[].logLevel",
    "worker_log_config": "set workers[].logLevel",
    "worker_app": f"{_FIELDS}; every worker is a synapse.app.generic_worker",
    "worker_name": f"{_FIELDS}; set workers[].name",
    "worker_replication_host": _GONE,
    "worker_replication_port": _GONE,
    "worker_replication_http_port": _GONE,
    "worker_replication_http_tls": _GONE,
    "worker_main_http_uri": _GONE,
    "worker_replication_secret_path": "set spec.secrets.workerReplicationSecret",
    "app_service_config_files": "set spec.appservices",
    "matrix_authentication_service": "set spec.matrixAuthenticationService",
    "signing_key_path": "set spec.secrets.signingKey",
    "macaroon_secret_key_path": "set spec.secrets.macaroonSecretKey",
    "form_secret_path": "set spec.secrets.formSecret",
    "registration_shared_secret_path": "set spec.secrets.registrationSharedSecret",
    "pid_file": "a container needs none",
    "worker_pid_file": "a container needs none",
    "daemonize": "a container runs in the foreground",
    "worker_daemonize": "a container runs in the foreground",
}

SECRETS: Final[Mapping[str, str]] = {
    "signing_key": "put it into a Secret and name it in spec.secrets.signingKey",
    "macaroon_secret_key": "put it into a Secret and name it in spec.secrets.macaroonSecretKey",
    "form_secret": "put it into a Secret and name it in spec.secrets.formSecret",
    "registration_shared_secret": (
        "put it into a Secret and name it in spec.secrets.registrationSharedSecret"
    ),
    "worker_replication_secret": (
        "put it into a Secret and name it in spec.secrets.workerReplicationSecret"
    ),
}

_OPEN = "would lie in a ConfigMap for everybody to read"
_ELSEWHERE = "put it into a Secret and name that in spec.configFrom"

NESTED_SECRETS: Final = (
    ("recaptcha_public_key",),
    ("recaptcha_private_key",),
    ("turn_shared_secret",),
    ("turn_password",),
    ("email", "smtp_pass"),
    ("jwt_config", "secret"),
    ("oidc_providers", "client_secret"),
    ("oidc_providers", "client_secret_jwt_key", "key"),
    ("oidc_config", "client_secret"),
    ("password_config", "pepper"),
    ("manhole_settings", "password"),
    ("media_storage_providers", "config", "secret_access_key"),
    ("media_storage_providers", "config", "session_token"),
    ("media_storage_providers", "config", "sse_customer_key"),
)
"""Paths of secrets that belong into configFrom; lists on the way are walked through.

Some are what Synapse's own --no-secrets-in-config refuses, the rest what its manual calls secret.
"""

_S3 = "spec.mediaStore.s3 is set, and Synapse takes one or the other: remove one of the two"

NESTED_OWNED: Final[Mapping[tuple[str, ...], str]] = {
    ("experimental_features", "msc3861"): (
        "it is gone from Synapse: set spec.matrixAuthenticationService"
    ),
}
"""The same as OWNED for what lies deeper."""

OWNED_WITH_S3: Final[Mapping[str, str]] = {
    "media_storage_providers": _S3,
    "backup_media_store_path": _S3,
}
"""Keys that are the user's unless the bucket is ours."""


def owned_by(server: HomeServer) -> Mapping[str, str]:
    """Keys that this homeserver's overlays must not set, and what to do instead."""
    return {**OWNED, **OWNED_WITH_S3} if server.media.s3 else OWNED


def problems(
    overlay: Mapping[str, Any], path: str, owned: Mapping[str, str] = OWNED
) -> Iterator[str]:
    """Say what is wrong with an overlay at `path` of the resource (one sentence each)."""
    for key in overlay:
        if remedy := owned.get(key):
            yield f"{path}.{key} is the operator's: {remedy}"
        elif remedy := SECRETS.get(key):
            yield f"{path}.{key} {_OPEN}: {remedy}"
    yield from _nested_owned(overlay, f"{path}.")
    for option, inner in _of_modules(overlay):
        yield f"{path}.{option}.config.{inner} {_OPEN}: {_ELSEWHERE}"
    for secret in NESTED_SECRETS:
        if _holds(overlay, secret):
            dotted = ".".join(secret)
            yield f"{path}.{dotted} {_OPEN}: {_ELSEWHERE}"


def owned_problems(
    overlay: Mapping[str, Any], path: str, owned: Mapping[str, str] = OWNED
) -> Iterator[str]:
    """The same for a Secret of configFrom, where secrets are welcome but owned keys are not."""
    for key in overlay:
        if remedy := {**owned, **SECRETS}.get(key):
            yield f"{path} sets {key}, which is the operator's: {remedy}"
    yield from _nested_owned(overlay, f"{path} sets ")


def _nested_owned(overlay: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for option, remedy in NESTED_OWNED.items():
        if _holds(overlay, option):
            yield f"{prefix}{'.'.join(option)} is the operator's: {remedy}"


_SECRET: Final = re.compile(
    r"(pass(word|wd)|secret|token|(api|secret|private)_?key)$", re.IGNORECASE
)


def _of_modules(overlay: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options of modules, of which nothing is known but their names, that look like secrets."""
    for option in ("modules", "password_providers"):
        entries = overlay.get(option)
        for entry in entries if isinstance(entries, list) else ():
            config = entry.get("config") if isinstance(entry, Mapping) else None
            for name, value in config.items() if isinstance(config, Mapping) else ():
                if isinstance(value, str) and value and _SECRET.search(str(name)):
                    yield option, str(name)


def _holds(node: Any, path: tuple[str, ...]) -> bool:
    if isinstance(node, list):
        return any(_holds(item, path) for item in node)
    if not path:
        return bool(node)
    return isinstance(node, Mapping) and path[0] in node and _holds(node[path[0]], path[1:])
