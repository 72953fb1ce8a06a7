"""The managed PostgreSQL and Redis: one pod each, started by scripts of ours.

The scripts need nothing of an image but `sh` and the server's programs, so the public images and a
distribution's packages serve alike. The database is for evaluation: one pod, no backups.
"""

from collections.abc import Mapping
from typing import Any, Final

from homeserver_operator.api.groups import Scheduling
from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    POSTGRES_PORT,
    PROCESS_LABEL,
    REDIS_PORT,
    ROLE_LABEL,
)
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.build.meta import object_labels, object_meta
from homeserver_operator.build.pods import container, pod_spec, with_revision

POSTGRES: Final = "postgres"
REDIS: Final = "redis"
PORTS: Final = {POSTGRES: POSTGRES_PORT, REDIS: REDIS_PORT}

STORE_USER: Final = 999
"""User of both servers in the public images."""

POSTGRES_SCRIPT: Final = """\
# Starts PostgreSQL; makes the database at the first start. A half-made one is made anew.
set -eu
# Debian keeps the programs out of PATH.
PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)"
data=/data/pgdata
single() { postgres --single -j -D "$1" "$2" >/dev/null; }
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.new"
  initdb -D "$data.new" --username=postgres --encoding=UTF8 --locale=C \\
    --auth-local=trust --auth-host=scram-sha-256
  printf 'CREATE ROLE synapse LOGIN;\\n\\n' | single "$data.new" postgres
  printf 'CREATE DATABASE synapse OWNER synapse;\\n\\n' | single "$data.new" postgres
  echo 'host all all all scram-sha-256' >> "$data.new/pg_hba.conf"
  mv "$data.new" "$data"
fi
# Left behind by one that was killed: it names a process of a container that is gone, and one of
# this container may have its number. Nobody else has the volume (one pod, Recreate, ReadWriteOnce).
rm -f "$data/postmaster.pid"
# At every start, so that a changed Secret takes effect.
password=$(sed "s/'/''/g" /secrets/postgres/password)
printf "ALTER ROLE synapse PASSWORD '%s';\\n\\n" "$password" | single "$data" postgres
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp \\
  -c max_connections=300
"""

REDIS_SCRIPT: Final = """\
# Starts Redis with its password from a file, which redis.conf cannot name.
set -eu
umask 077
printf 'requirepass %s\\n' "$(cat /secrets/redis/password)" > /tmp/password.conf
exec redis-server /process/redis.conf --include /tmp/password.conf
"""

REDIS_CONFIG: Final = """\
# Synapse keeps nothing here that it could not lose: no persistence.
port 6379
bind * -::*
protected-mode yes
save ""
appendonly no
dir /tmp
"""


def managed(server: HomeServer) -> dict[str, Mapping[str, Any]]:
    """Stores that we run, with the resources that their pods ask for."""
    found: dict[str, Mapping[str, Any]] = {}
    if not isinstance(server.postgres.server, ExternalPostgres):
        found[POSTGRES] = server.postgres.server.resources
    if not isinstance(server.redis, ExternalRedis):
        found[REDIS] = server.redis.resources
    return found


def store_name(server: HomeServer, store: str) -> str:
    """The name of a managed store's Deployment, Service and NetworkPolicy; the host of it, too."""
    return f"{server.key.name}-{store}"


def store_files(store: str) -> dict[str, str]:
    """What a store's pod mounts at /process."""
    if store == POSTGRES:
        return {"start.sh": POSTGRES_SCRIPT}
    return {"start.sh": REDIS_SCRIPT, "redis.conf": REDIS_CONFIG}


def build_store(
    server: HomeServer,
    store: str,
    *,
    image: str,
    pull_policy: str,
    config_map: str,
    password: str,
    claim: str | None,
    resources: Mapping[str, Any],
) -> dict[str, Any]:
    """The Deployment of one store. `password` names the Secret copy, `claim` the data's volume."""
    volumes: list[dict[str, Any]] = [
        {"name": "process", "configMap": {"name": config_map}},
        {"name": "password", "secret": {"secretName": password, "defaultMode": 0o440}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "process", "mountPath": "/process", "readOnly": True},
        {"name": "password", "mountPath": f"/secrets/{store}", "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    if claim:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": "data", "mountPath": "/data"})
    server_container = container(
        store,
        image=image,
        pull_policy=pull_policy,
        resources=resources,
        mounts=mounts,
        command=["sh", "/process/start.sh"],
        ports=[{"name": store, "containerPort": PORTS[store], "protocol": "TCP"}],
        readinessProbe=_ready(store),
    )
    spec = pod_spec(
        server,
        user=STORE_USER,
        containers=[server_container],
        volumes=volumes,
        scheduling=Scheduling(),
        grace=60,
    )
    labels = object_labels(server, store) | {PROCESS_LABEL: store, ROLE_LABEL: store}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(
            server,
            store_name(server, store),
            component=store,
            labels={PROCESS_LABEL: store, ROLE_LABEL: store},
        ),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {HOMESERVER_LABEL: server.key.name, PROCESS_LABEL: store}},
            "template": with_revision(labels, spec),
            # Never two servers on one data directory.
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
        },
    }


def _ready(store: str) -> dict[str, Any]:
    if store == REDIS:
        return {"tcpSocket": {"port": REDIS}, "periodSeconds": 2, "failureThreshold": 3}
    check = 'PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)"; pg_isready -q'
    return {
        "exec": {"command": ["sh", "-c", f"{check} -h /tmp -U synapse -d synapse"]},
        "periodSeconds": 2,
        "timeoutSeconds": 3,
        "failureThreshold": 3,
    }
