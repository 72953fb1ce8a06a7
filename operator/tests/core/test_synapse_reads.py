"""What Synapse's own parser makes of every case: the names, lists and duties that it understood.

Each process gets a file system of what its pod template mounts, the runtime assembles its
homeserver.yaml as it does in the pod, and Synapse 1.163.2 reads it in the process's role.
"""

import logging.config
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import yaml
from tests.core import case, synapse_config
from tests.core.synapse_pod import POD, parsed, pod, settings

from homeserver_operator.api.names import HTTP_PORT, METRICS_PORT, REPLICATION_PORT
from homeserver_operator.api.roles import STREAMS
from homeserver_operator.topology import Process
from homeserver_runtime import configuration

pytestmark = pytest.mark.long

PROCESSES = [
    (name, process.name) for name in case.names() for process in case.load(name).topology.processes
]


def process_of(name: str, process: str) -> Process:
    return next(p for p in case.load(name).topology.processes if p.name == process)


@pytest.mark.parametrize(("name", "process"), PROCESSES)
def test_synapse_takes_every_process_for_what_it_is(name: str, process: str) -> None:
    config, laid_out = parsed(name, process), process_of(name, process)
    topology = case.load(name).topology
    instance = laid_out.instance or POD
    assert config.worker.instance_name == instance
    assert config.worker.worker_app == (None if laid_out.is_main else "synapse.app.generic_worker")
    assert config.server.server_name == case.load(name).server.server_name
    assert config.media.can_load_media_repo == laid_out.media_repository
    assert config.redis.redis_enabled
    assert config.worker.worker_replication_secret
    for stream, key in STREAMS.items():
        writers = list(topology.writers.get(stream, ("master",)))
        assert getattr(config.worker.writers, key) == writers, stream
    restricted = topology.runners.get("outboundFederation")
    outbound = config.worker.outbound_federation_restricted_to
    assert outbound.instances == (list(restricted) if restricted else None)
    assert len(outbound.locations) == len(restricted or ())
    # Workers know main by the name that writers' lists use.
    called = {process.name for process in topology.replicating if not process.is_main}
    main = "main" if laid_out.is_main else "master"
    assert set(config.worker.instance_map) == {main, *called}


DUTIES: dict[str, Callable[[Any], bool]] = {
    "federationSender": lambda config: config.worker.send_federation,
    "pusher": lambda config: config.worker.start_pushers,
    "backgroundTasks": lambda config: config.worker.run_background_tasks,
    "userDirectory": lambda config: config.worker.should_update_user_directory,
    "appservices": lambda config: config.worker.should_notify_appservices,
    "mediaBackgroundJobs": lambda config: (
        config.media.can_load_media_repo
        # As synapse/media/url_previewer.py asks.
        and config.media.media_instance_running_background_jobs
        in {None, config.worker.instance_name}
    ),
}


@pytest.mark.parametrize("duty", DUTIES)
@pytest.mark.parametrize("name", case.names())
def test_a_duty_is_done_by_those_who_run_it_and_by_nobody_else(name: str, duty: str) -> None:
    """A duty that nobody does is silent in Synapse, and one that two do is done twice."""
    topology = case.load(name).topology
    does = {
        process.instance or process.name
        for process in topology.processes
        if DUTIES[duty](parsed(name, process.name))
    }
    assert does == set(topology.runners.get(duty, ("master",)))


@pytest.mark.parametrize(
    ("name", "process", "attribute", "expected"),
    [
        pytest.param(*row, id=f"{row[1]} of {row[0]}: {row[2]}")
        for row in [
            ("stream-writers", "bracken", "worker.writers.events",
             ["annals-0", "scribe-0", "scribe-1", "scribe-2"]),
            ("stream-writers", "main", "worker.events_shard_config.instances",
             ["annals-0", "scribe-0", "scribe-1", "scribe-2"]),
            ("stream-writers", "scribe-1", "worker.writers.push_rules", ["moss-0"]),
            ("senders-and-pushers", "main", "worker.federation_shard_config.instances",
             ["express-0", "outbound-0", "outbound-1"]),
            ("senders-and-pushers", "main", "worker.pusher_shard_config.instances",
             ["express-0", "nudge-0", "nudge-1"]),
            ("senders-and-pushers", "nudge-1", "worker.pusher_shard_config.instances",
             ["express-0", "nudge-0", "nudge-1"]),
            ("media-split", "gallery-0", "media.max_upload_size", 70 * 1024**2),
            ("media-split", "gallery-0", "media.url_preview_enabled", True),
            # What capabilities say is every process's business.
            ("media-split", "reed", "media.url_preview_enabled", True),
            ("several-media", "overflow", "media.media_instance_running_background_jobs",
             "gallery-0"),
            ("media-on-main", "main", "media.max_upload_size", 70 * 1024**2),
            ("external-stores", "main", "redis.redis_host", "cache.lupin.example"),
            ("external-stores", "main", "redis.redis_port", 6390),
            ("external-stores", "main", "redis.redis_dbid", 4),
            ("external-stores", "main", "redis.redis_username", "bumblebee"),
            ("external-stores", "main", "redis.redis_password", "password of cache"),
            ("external-stores", "main", "redis.redis_use_tls", True),
            ("external-stores", "main", "server.public_baseurl", "https://lupin.example/"),
            ("scheduling", "clover", "caches.cache_autotuning",
             {"max_cache_memory_usage": 0.7 * 2 * 1024**3 // 1,
              "target_cache_memory_usage": 0.55 * 2 * 1024**3 // 1, "min_cache_ttl": 60_000}),
            ("minimal", "main", "redis.redis_password", "made-password-of-rosebud-redis"),
            ("minimal", "main", "registration.registration_shared_secret",
             "made-secret-of-rosebud-registration"),
            ("single-generic-worker", "clover", "registration.registration_shared_secret", None),
            ("own-secrets", "main", "registration.registration_shared_secret",
             "word of registering"),
            ("own-secrets", "main", "key.macaroon_secret_key", b"word of macaroon"),
            ("own-secrets", "main", "key.form_secret", "word of forms"),
            ("own-secrets", "clover", "worker.worker_replication_secret", "word-of-copper"),
            ("config-overlays", "main", "caches.global_factor", 1.5),
            ("config-overlays", "clover", "caches.global_factor", 0.25),
            ("config-overlays", "daisy-0", "voip.turn_shared_secret", "word of turn"),
            ("config-overlays", "daisy-0", "email.email_smtp_pass", "word of mail"),
            ("config-overlays", "clover", "registration.enable_registration", False),
            ("config-overlays", "clover", "server.presence_enabled", False),
            ("matrix-authentication-service", "main", "mas.enabled", True),
            ("matrix-authentication-service", "clover", "mas.enabled", True),
            ("matrix-authentication-service", "main", "auth.password_enabled_for_login", False),
            ("single-sign-on", "gate-0", "cas.cas_enabled", True),
            ("ingress-options", "main", "server.public_baseurl", "https://chat.ivy.example/"),
            ("gateway-api", "main", "server.serve_server_wellknown", True),
            ("gateway-api", "clover", "server.serve_server_wellknown", False),
            ("delegation", "main", "server.serve_server_wellknown", False),
            ("ingress-disabled", "main", "server.public_baseurl", "https://[2001:db8::1]/"),
        ]
    ],
)  # fmt: skip
def test_synapse_reads_the_value(name: str, process: str, attribute: str, expected: object) -> None:
    value = parsed(name, process)
    for step in attribute.split("."):
        value = getattr(value, step)
    assert value == expected


def test_media_processes_and_nobody_else_know_the_bucket() -> None:
    """The key comes from the environment, so that no file of Synapse's holds it."""
    ((backend, config, wrapper),) = parsed("example-large", "media-1").media.media_storage_providers
    assert backend.__name__ == "S3StorageProviderBackend"
    assert config["bucket"] == "example-org-media"
    assert config["region_name"] == "eu-central-1"
    assert not {"access_key_id", "secret_access_key"} & config.keys()
    assert wrapper.store_local
    assert wrapper.store_remote
    assert wrapper.store_synchronous
    built = case.manifests("example-large").synapse
    holders = {
        process
        for process, deployment in built.items()
        for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        if variable["name"] == "AWS_SECRET_ACCESS_KEY"
    }
    assert holders == {"media-0", "media-1", "media-2"}
    assert "media_storage_providers" not in settings("example-large", "main")


@pytest.mark.parametrize(
    ("name", "process", "expected"),
    [
        pytest.param("minimal", "main", [
            (HTTP_PORT, ["client", "federation"]), (REPLICATION_PORT, ["replication"]),
            (METRICS_PORT, []),
        ], id="main serves clients, federation, replication and metrics"),
        pytest.param("config-overlays", "main", [
            (HTTP_PORT, ["client", "federation", "consent"]), (REPLICATION_PORT, ["replication"]),
            (METRICS_PORT, []),
        ], id="main serves the consent page where there is one"),
        pytest.param("stream-writers", "scribe-0", [
            (HTTP_PORT, ["client", "federation"]), (METRICS_PORT, []),
            (REPLICATION_PORT, ["replication"]),
        ], id="a stream writer can be called by the others"),
        pytest.param("single-generic-worker", "clover", [
            (HTTP_PORT, ["client", "federation"]), (METRICS_PORT, []),
        ], id="a group that only serves has no replication port"),
        pytest.param("several-media", "overflow", [
            (HTTP_PORT, ["client", "federation", "media"]), (METRICS_PORT, []),
        ], id="a media repository mounts all names in one entry, or the last would hide the rest"),
        pytest.param("senders-and-pushers", "outbound-1", [(METRICS_PORT, [])],
                     id="a process that serves nobody listens for metrics only"),
    ],
)  # fmt: skip
def test_listeners(name: str, process: str, expected: list[tuple[int, list[str]]]) -> None:
    config = parsed(name, process)
    listeners = config.server.listeners if process == "main" else config.worker.worker_listeners
    found = [
        (
            listener.port,
            [n for r in listener.http_options.resources for n in r.names]
            if listener.type == "http"
            else [],
        )
        for listener in listeners
    ]
    assert found == expected


@pytest.mark.parametrize("process", ["main", "people", "bridged", "notifier-0"])
def test_every_process_loads_the_application_services(process: str) -> None:
    """By Synapse's own loader, from the copies that the pod mounts."""
    with pod("application-services", process) as (launch, paths):
        settings = configuration.assemble(launch, paths)
        loaded = synapse_config.appservices("hazel.example", settings["app_service_config_files"])
    assert {service.id: service.token for service in loaded} == {
        "irc": "token of irc",
        "reminders": "token of reminders",
    }


def test_the_secret_shared_with_the_authentication_service_is_read_from_its_copy() -> None:
    with pod("matrix-authentication-service", "clover") as (launch, paths):
        configuration.write_pgpass(launch, paths)
        finished = configuration.write_finished(configuration.assemble(launch, paths), paths)
        assert synapse_config.load(finished, secrets=False).mas.secret() == "word of tansy's logins"


@pytest.mark.parametrize("process", ["main", "clover", "daisy-0"])
def test_secrets_of_config_from_are_not_in_the_config_map(process: str) -> None:
    """All other processes were parsed with --no-secrets-in-config anyway."""
    with pod("config-overlays", process) as (_launch, paths):
        synapse_config.load(paths.homeserver_yaml, secrets=False)


@pytest.mark.parametrize(
    ("name", "level", "process"),
    [("config-overlays", logging.ERROR, "main"), ("config-overlays", logging.DEBUG, "clover"),
     ("config-overlays", logging.WARNING, "daisy-0"), ("minimal", logging.INFO, "main")],
)  # fmt: skip
def test_logging_takes_log_yaml(
    name: str, level: int, process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pod(name, process) as (_launch, paths), restored_logging():
        logging.config.dictConfig(yaml.safe_load(paths.log_yaml.read_text()))
        assert logging.getLogger("synapse.handlers").getEffectiveLevel() == level
        assert not logging.getLogger("synapse.storage.SQL").isEnabledFor(logging.DEBUG)
        logging.getLogger("synapse").critical("a bee")
    assert '"log":"a bee"' in capsys.readouterr().out


def restored_logging() -> AbstractContextManager[None]:
    """Logging as before, whatever a test configures."""

    @contextmanager
    def restore() -> Iterator[None]:
        root, sql = logging.getLogger(), logging.getLogger("synapse.storage.SQL")
        before = root.level, root.handlers[:], sql.level
        try:
            yield
        finally:
            root.level, root.handlers[:], sql.level = before[0], before[1], before[2]

    return restore()
