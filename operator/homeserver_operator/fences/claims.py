"""What each fence stands for in one homeserver: who holds it, and what its holders must agree on.

The rules are those of Synapse's documentation of workers, as measured: which settings all of a set
of processes must have in common, because two opinions of them do harm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver_operator.api.canonical import digest, keyed_digest
from homeserver_operator.api.names import MAIN
from homeserver_operator.api.roles import FEDERATION_SENDER, PUSHER, SINGLE_RUNNER
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.topology import Process, Topology
from homeserver_operator.validate import ValidHomeServer
from homeserver_operator.validate.sources import COPY_NAMES, REPLICATION, TOKEN_FILE

TOPOLOGY: Final = "topology"
"""Held by everybody: the writers of streams, whom one calls, and how one replicates."""
FEDERATION: Final = "federation"
"""Held by main and the federation senders: who sends to which server."""
PUSH: Final = "push"
"""Held by main and the pushers: who pushes for whom."""

_SHARDED: Final = {FEDERATION: FEDERATION_SENDER, PUSH: PUSHER}


@dataclass(frozen=True)
class Claims:
    """By fence: the names of the processes that hold it, and a hash of what they agree on."""

    holders: Mapping[str, frozenset[str]]
    content: Mapping[str, str]


def make_claims(server: ValidHomeServer, topology: Topology, image: str) -> Claims:
    """The claims of a homeserver whose processes run `image`."""
    everybody = frozenset(process.name for process in topology.processes)
    duties = _SHARDED | {duty: duty for duty in SINGLE_RUNNER}
    return Claims(
        holders={TOPOLOGY: everybody}
        | {fence: _with_main(topology, duty) for fence, duty in duties.items()},
        content={TOPOLOGY: digest(_agreed_by_all(server, topology, image))}
        # Without anybody for it, main has the duty.
        | {fence: digest(topology.runners.get(duty, (MAIN,))) for fence, duty in duties.items()},
    )


def _with_main(topology: Topology, duty: str) -> frozenset[str]:
    return frozenset(_names(p for p in topology.processes if p.is_main or duty in p.runs))


def _agreed_by_all(server: ValidHomeServer, topology: Topology, image: str) -> Mapping[str, Any]:
    key = server.material[COPY_NAMES][TOKEN_FILE]
    redis, postgres = server.spec.redis, server.spec.postgres.server
    return {
        # Versions do not promise to understand each other's replication.
        "image": image,
        "writers": topology.writers,
        "instanceMap": list(_names(topology.replicating)),
        "secret": keyed_digest(key, server.material[REPLICATION]),
        # Two Redis servers are two homeservers that do not hear from each other.
        "redis": [redis.host, redis.port, redis.database]
        if isinstance(redis, ExternalRedis)
        else [],
        # Who is on another database has other fences, too (`plan.relocation`).
        "postgres": [postgres.host, postgres.port, postgres.database]
        if isinstance(postgres, ExternalPostgres)
        else [],
    }


def _names(processes: Iterable[Process]) -> tuple[str, ...]:
    return tuple(process.name for process in processes)
