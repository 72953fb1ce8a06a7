"""Fixtures for tests with real Synapse processes: a plugin that test modules name."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from tests.held import Held
from tests.matrix import Client, register
from tests.processes import Site, ending
from tests.services import postgres, redis_server

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.processes import RuntimeProcess
    from tests.services import Postgres, Redis

GENERIC_REDIS_USER = {"username": "generic", "password": "generic secret"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Homeserver:
    """Three processes that serve together."""

    redis: Redis
    main: RuntimeProcess
    persister: RuntimeProcess
    generic: RuntimeProcess

    def admit_generic(self) -> None:
        """Lets the generic worker's own Redis user in; Redis forgets it when it stops."""
        secret = GENERIC_REDIS_USER["password"]
        with self.redis.client as client:
            client.execute_command(
                *("ACL", "SETUSER", "generic", "on", f">{secret}", "allcommands"),
                *("allchannels", "allkeys"),
            )

    def expel_generic(self) -> None:
        """Cuts the generic worker off, and it alone."""
        user = GENERIC_REDIS_USER["username"]
        with self.redis.client as client:
            client.execute_command("ACL", "SETUSER", user, "off")
            client.execute_command("CLIENT", "KILL", "USER", user)

    def wait_ready(self) -> None:
        for process in (self.main, self.persister, self.generic):
            process.wait_ready()


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def own_redis() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture
def site(own_postgres: Postgres, own_redis: Redis, tmp_path: Path) -> Site:
    """A homeserver without processes, on an empty database."""
    database = f"synapse_{free_port()}"
    own_postgres.create_database(database)
    return Site(directory=tmp_path, postgres=own_postgres, redis=own_redis, database=database)


@pytest.fixture
def database(own_postgres: Postgres, request: pytest.FixtureRequest) -> str:
    name = f"fence_{abs(hash(request.node.name))}"
    own_postgres.create_database(name)
    return name


@pytest.fixture
def claim(own_postgres: Postgres, database: str) -> Iterator[Callable[..., Held]]:
    """Makes fences on an empty database; all are left in the end."""
    with _claims(own_postgres, database) as make:
        yield make


@pytest.fixture
def hold(site: Site) -> Iterator[Callable[..., Held]]:
    """Makes fences that the processes of `site` meet; all are left in the end."""
    with _claims(site.postgres, site.database) as make:
        yield make


@contextlib.contextmanager
def _claims(server: Postgres, name: str) -> Iterator[Callable[..., Held]]:
    with contextlib.ExitStack() as stack:

        def make(process: str, **claims: Any) -> Held:
            held = Held(server, name, process, **claims)
            stack.callback(held.fence.leave)
            return held

        yield make


@pytest.fixture(scope="session")
def homeserver(
    own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Homeserver]:
    """One homeserver for all tests; each leaves it as it was, serving."""
    own_postgres.create_database("shared")
    with redis_server() as redis:
        site = Site(
            directory=tmp_path_factory.mktemp("homeserver"),
            postgres=own_postgres,
            redis=redis,
            database="shared",
        )
        ports = {"main": free_port(), "persister-0": free_port()}
        own_user: dict[str, Any] = {"redis": GENERIC_REDIS_USER}
        processes = Homeserver(
            redis=redis,
            main=site.write("main", role="main", replication_ports=ports),
            persister=site.write("persister-0", replication_ports=ports),
            generic=site.write("generic-0", settings=own_user, replication_ports=ports),
        )
        processes.admit_generic()
        with ending(processes.main, processes.persister, processes.generic) as all_three:
            for process in all_three:
                process.start(HOMESERVER_REVISION="revision-1")
            processes.wait_ready()
            yield processes


@pytest.fixture
async def alice(homeserver: Homeserver) -> AsyncIterator[Client]:
    """A new user who talks to the generic worker."""
    token = await register(homeserver.main.client_port)
    async with Client(homeserver.generic.client_port, token) as client:
        yield client


@pytest.fixture
async def bob(homeserver: Homeserver) -> AsyncIterator[Client]:
    """Another user, who shares no room with alice: what she does wakes none of his polls."""
    token = await register(homeserver.main.client_port)
    async with Client(homeserver.generic.client_port, token) as client:
        yield client
