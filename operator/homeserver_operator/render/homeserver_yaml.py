"""homeserver.yaml of one process: Synapse's settings, its own and the shared ones, in one file.

One file, because Synapse merges several by their top-level keys only, so that a second one with
`redis` or `instance_map` would silently replace the first one's. Which process reads which key was
taken from Synapse 1.163.2's source (synapse/config/).
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from homeserver_operator.api.names import (
    HTTP_PORT,
    MAIN,
    METRICS_PORT,
    POSTGRES_PORT,
    REDIS_PORT,
    REPLICATION_PORT,
)
from homeserver_operator.api.roles import (
    FEDERATION_SENDER,
    OUTBOUND_FEDERATION,
    PUSHER,
    STREAMS,
)
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.render import paths
from homeserver_operator.render.caches import cache_settings
from homeserver_operator.render.media import media_settings, readable
from homeserver_operator.render.paths import Addresses
from homeserver_operator.routes.exposure import delegated_to, synapses_answer
from homeserver_operator.topology import Process, Topology
from homeserver_operator.validate import ValidHomeServer, appservices, sources

_DUTIES: Final = {
    "backgroundTasks": "run_background_tasks_on",
    "userDirectory": "update_user_directory_from_worker",
    "appservices": "notify_appservices_from_worker",
}
_SHARDED_DUTIES: Final = {
    FEDERATION_SENDER: "federation_sender_instances",
    PUSHER: "pusher_instances",
}


def render_homeserver(
    server: ValidHomeServer, topology: Topology, process: Process, addresses: Addresses
) -> dict[str, Any]:
    """The settings of one process. No overlay meets a key of ours: `validate` saw to it."""
    spec = server.spec
    settings: dict[str, Any] = {"suppress_key_server_warning": True, "report_stats": False}
    settings |= {"public_baseurl": f"https://{spec.client_host}/"}
    overlay = merged(readable(process, spec.config), readable(process, process.options.config))
    # A bound of the user's own, of whatever kind, takes the place of ours.
    settings |= cache_settings(process) | overlay
    settings |= {
        "server_name": spec.server_name,
        "signing_key_path": paths.secret(sources.SIGNING_KEY, sources.SIGNING_KEY_FILE),
        "macaroon_secret_key_path": paths.secret(sources.MACAROON, sources.TOKEN_FILE),
        "form_secret_path": paths.secret(sources.FORM, sources.TOKEN_FILE),
        "worker_replication_secret_path": paths.secret(sources.REPLICATION, sources.TOKEN_FILE),
        "database": _database(server, addresses),
        "redis": _redis(server, addresses),
        "instance_map": _instance_map(topology, addresses),
        "enable_metrics": True,
        "enable_media_repo": process.media_repository,
        "media_store_path": paths.MEDIA,
    }
    if topology.writers:
        settings["stream_writers"] = {
            STREAMS[stream]: list(writers) for stream, writers in sorted(topology.writers.items())
        }
    settings |= _authentication(server) | _appservices(server)
    settings |= _duties(topology, process)
    settings |= media_settings(spec, topology, process)
    options = server.secret_options | settings.keys()
    settings |= _main(options) | _well_known(spec) if process.is_main else _worker(process)
    return settings


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Both overlays, the upper one's values winning; mappings are merged, all else is replaced."""
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)  # noqa: PLW2901 - the same value, completed
        result[key] = value
    return result


def _database(server: ValidHomeServer, addresses: Addresses) -> dict[str, Any]:
    postgres = server.spec.postgres
    args: dict[str, Any] = {
        "host": addresses.postgres,
        "port": POSTGRES_PORT,
        "dbname": "synapse",
        "user": "synapse",
    }
    if isinstance(external := postgres.server, ExternalPostgres):
        # The user's name comes from the Secret, through the launcher.
        args = {"host": external.host, "port": external.port, "dbname": external.database}
        if external.ssl_mode:
            args["sslmode"] = external.ssl_mode
        if external.ca:
            args["sslrootcert"] = paths.secret(sources.POSTGRES_CA, sources.CA_FILE)
    args |= {
        "passfile": paths.PASSFILE,
        "cp_min": postgres.min_connections,
        "cp_max": postgres.max_connections,
        # A dead peer is noticed in about 20 s rather than two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }
    return {"name": "psycopg2", "args": args}


def _redis(server: ValidHomeServer, addresses: Addresses) -> dict[str, Any]:
    redis = server.spec.redis
    settings: dict[str, Any] = {"enabled": True, "host": addresses.redis, "port": REDIS_PORT}
    if isinstance(redis, ExternalRedis):
        settings |= {"host": redis.host, "port": redis.port, "dbid": redis.database}
        if redis.tls:
            settings["use_tls"] = True
        if redis.ca:
            settings["ca_file"] = paths.secret(sources.REDIS_CA, sources.CA_FILE)
        if redis.client_certificate:
            settings |= {
                "certificate_file": paths.secret(sources.REDIS_CLIENT, sources.CERTIFICATE_FILE),
                "private_key_file": paths.secret(sources.REDIS_CLIENT, sources.PRIVATE_KEY_FILE),
            }
    material = server.material.get(sources.REDIS, {})
    if "password" in material:
        settings["password_path"] = paths.secret(sources.REDIS, "password")
    if username := material.get("username"):
        settings["username"] = username.decode().strip()
    return settings


def _authentication(server: ValidHomeServer) -> dict[str, Any]:
    if not (mas := server.spec.authentication):
        return {}
    return {
        "matrix_authentication_service": {
            "enabled": True,
            "endpoint": mas.endpoint,
            "secret_path": paths.secret(sources.MAS, sources.TOKEN_FILE),
        }
    }


def _appservices(server: ValidHomeServer) -> dict[str, Any]:
    """Every process reads the registrations: each authenticates application services itself."""
    files = [
        paths.secret(appservices.purpose(service.name), appservices.FILE)
        for service in server.spec.appservices
    ]
    return {"app_service_config_files": sorted(files)} if files else {}


def _instance_map(topology: Topology, addresses: Addresses) -> dict[str, Any]:
    return {
        MAIN if process.is_main else process.name: {
            "host": addresses.replication[process.name],
            "port": REPLICATION_PORT,
        }
        for process in topology.replicating
    }


def _duties(topology: Topology, process: Process) -> dict[str, Any]:
    """Who does what, for those who need to know: main, which must not do it, and those who do.

    Anybody else may think that main does it: Synapse asks only whether it is this process.
    """
    settings: dict[str, Any] = {}
    for duty, instances in topology.runners.items():
        if not process.is_main and duty not in process.runs:
            continue
        if duty in _DUTIES:
            settings[_DUTIES[duty]] = instances[0]
        elif duty in _SHARDED_DUTIES:
            settings[_SHARDED_DUTIES[duty]] = list(instances)
    if outbound := topology.runners.get(OUTBOUND_FEDERATION):
        # Not a question of "is it I": whoever has something to ask other servers asks through them.
        settings["outbound_federation_restricted_to"] = list(outbound)
    return settings


def _main(options: Collection[str]) -> dict[str, Any]:
    # One entry with all names: a later entry for the same path would replace an earlier one.
    names = ["client", "federation"] + (["consent"] if "user_consent" in options else [])
    return {
        "registration_shared_secret_path": paths.secret(sources.REGISTRATION, sources.TOKEN_FILE),
        "log_config": f"{paths.CONFIG}/log.yaml",
        "listeners": [_clients(names), _REPLICATION, _METRICS],
    }


def _well_known(spec: HomeServer) -> dict[str, Any]:
    """Synapse's own answer for other servers; where it must be another, the launcher adds it."""
    if (answer := delegated_to(spec)) is None or answer != synapses_answer(spec):
        return {}
    return {"serve_server_wellknown": True}


def _worker(process: Process) -> dict[str, Any]:
    listeners = [_METRICS]
    if process.serves or process.writes:
        names = ["client", "federation"] + (["media"] if process.media_repository else [])
        listeners = [_clients(names), *listeners]
    if process.replicating:
        listeners = [*listeners, _REPLICATION]
    return {
        "worker_app": "synapse.app.generic_worker",
        "worker_log_config": f"{paths.CONFIG}/log.yaml",
        "worker_listeners": listeners,
    }


def _clients(names: list[str]) -> dict[str, Any]:
    return {
        "port": HTTP_PORT,
        "type": "http",
        "bind_addresses": _EVERYWHERE,
        "x_forwarded": True,
        "resources": [{"names": names}],
    }


_EVERYWHERE: Final = ["0.0.0.0"]  # noqa: S104 - a pod's own address is not known here
_REPLICATION: Final = {
    "port": REPLICATION_PORT,
    "type": "http",
    "bind_addresses": _EVERYWHERE,
    "resources": [{"names": ["replication"]}],
}
_METRICS: Final = {"port": METRICS_PORT, "type": "metrics", "bind_addresses": _EVERYWHERE}
