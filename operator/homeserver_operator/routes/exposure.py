"""Which hosts a homeserver is reached by, and which paths each of them serves.

The rows say who answers a path; this says where that path is open to the world at all. Nothing
outside these prefixes is routed: replication and metrics in particular never are.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.routes import Target
from homeserver_operator.routes.table import ADMIN_PREFIX

FEDERATION_PREFIXES: Final = ("/_matrix/federation", "/_matrix/key")
CLIENT_PREFIXES: Final = ("/_matrix", "/_synapse/client")
WELL_KNOWN_PREFIX: Final = "/.well-known/matrix"

HTTPS_PORT: Final = 443

CLIENTS: Final = ""
FEDERATION: Final = "federation"
WELL_KNOWN: Final = "well-known"


@dataclass(frozen=True)
class Site:
    """One host: whole subtrees of paths (`prefixes`), or single paths of main's (`exact`).

    `name` is empty for the host of the clients, which has everything.
    """

    name: str
    host: str
    prefixes: tuple[str, ...]
    exact: tuple[str, ...] = ()
    tls_secret_name: str | None = None

    def of(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """The targets with the rows that this site serves; those that have none are left out."""
        heads = tuple(f"{prefix}/" for prefix in self.prefixes)
        kept = (
            dataclasses.replace(
                target,
                routes=tuple(row for row in target.routes if row.pattern.startswith(heads)),
            )
            for target in targets
        )
        return tuple(target for target in kept if target.routes)


def delegated_to(server: HomeServer) -> str | None:
    """What /.well-known/matrix/server tells other servers; None if it is not to be answered."""
    if not _well_known_is_served(server):
        return None
    federation = server.ingress.federation
    return f"{federation.host if federation else server.client_host}:{HTTPS_PORT}"


def _well_known_is_served(server: HomeServer) -> bool:
    """Unasked where it is at the clients' host anyway: other servers would try port 8448 else."""
    ingress = server.ingress
    if ingress.well_known is None:
        return ingress.enabled and server.server_name == server.client_host
    return ingress.well_known.enabled


def synapses_answer(server: HomeServer) -> str:
    """What Synapse's own resource answers there: the server name, with the usual port."""
    port = server.server_name.removeprefix(server.server_host) or f":{HTTPS_PORT}"
    return f"{server.server_host}{port}"


def open_prefixes(server: HomeServer) -> tuple[str, ...]:
    """The subtrees that are open to the world, at whatever host."""
    ingress = server.ingress
    prefixes: tuple[str, ...] = CLIENT_PREFIXES
    if ingress.well_known is None or ingress.well_known.enabled:
        prefixes += (WELL_KNOWN_PREFIX,)
    if ingress.admin_api:
        prefixes += (ADMIN_PREFIX,)
    return prefixes


def sites(server: HomeServer) -> Iterator[Site]:
    """Every host of a homeserver, that of the clients first; none if it wants no way in."""
    ingress = server.ingress
    if not ingress.enabled:
        return
    well_known = ingress.well_known
    host = server.client_host
    yield Site(CLIENTS, host, open_prefixes(server), tls_secret_name=ingress.tls_secret_name)
    if ingress.federation:
        # The host of the clients goes on serving federation: other servers remember for days
        # where a .well-known once led them.
        yield Site(
            FEDERATION,
            ingress.federation.host,
            FEDERATION_PREFIXES,
            tls_secret_name=ingress.federation.tls_secret_name,
        )
    if well_known and well_known.enabled and server.server_host != host:
        yield Site(
            WELL_KNOWN,
            server.server_host,
            (),
            exact=(f"{WELL_KNOWN_PREFIX}/client", f"{WELL_KNOWN_PREFIX}/server"),
            tls_secret_name=well_known.tls_secret_name,
        )
