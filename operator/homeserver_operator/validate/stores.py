"""Rules over PostgreSQL that the CRD's own rules repeat, for `plan` without an API server."""

from collections.abc import Iterator

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `spec.postgres` (one sentence each)."""
    postgres = server.postgres.server
    if isinstance(postgres, ExternalPostgres) and not postgres.secret_name:
        yield (
            "spec.postgres.credentials: needed with postgres.host; set secretName to a Secret with "
            "the keys username and password"
        )
