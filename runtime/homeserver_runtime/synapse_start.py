"""Starts Synapse in this interpreter by its own composable functions.

Nothing here touches PostgreSQL or Redis before `enter`. Importing this module imports Synapse,
which takes seconds: the probes must be up before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
from typing import TYPE_CHECKING, Any

# Synapse imports these three only when it connects and listens, after a process has entered.
import synapse.app.generic_worker
import synapse.app.homeserver
import synapse.replication.tcp.redis
import synapse.rest.client.media
from synapse.app import _base
from synapse.app._base import ListenerException
from synapse.config._base import ConfigError, format_config_error
from synapse.config.homeserver import HomeServerConfig
from synapse.crypto import context_factory
from synapse.logging.context import LoggingContext

from homeserver_runtime import appservices, database, isolation, refusals
from homeserver_runtime.contract import ConfigurationRefusedError, Role
from homeserver_runtime.failure import StartupFailedError

if TYPE_CHECKING:
    import types
    from collections.abc import Callable
    from pathlib import Path

    from homeserver_runtime.signals import Signals
    from homeserver_runtime.state import State

logger = logging.getLogger(__name__)

_APPLICATIONS: dict[Role, types.ModuleType] = {
    "main": synapse.app.homeserver,
    "worker": synapse.app.generic_worker,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A homeserver that has its configuration and has touched nothing outside."""

    role: Role
    config: Any
    homeserver: Any


def prepare(role: Role, configuration: Path) -> Prepared:
    """Parses `configuration` with Synapse's parser and creates the homeserver.

    Raises:
        ConfigurationRefusedError: with Synapse's own message.

    """
    try:
        # Not load_or_generate_config, which main uses: it makes signing keys that are missing.
        config = HomeServerConfig.load_config("Synapse", ["-c", str(configuration)])
        homeserver = _APPLICATIONS[role].create_homeserver(config)
        refusals.refuse_early(config)
    except ConfigError as error:
        raise refusal(error) from error
    except AssertionError as error:
        # What the worker's create_homeserver says to a worker_app that it does not know.
        raise ConfigurationRefusedError(
            f"worker_app is {config.worker.worker_app!r}, which cannot run as {role}"
        ) from error
    except (SystemExit, Exception) as error:
        # Synapse's parser lets TypeError and the like through for values that it does not expect.
        raise ConfigurationRefusedError(
            f"Synapse cannot read the configuration: {type(error).__name__}: {error}"
        ) from error
    return Prepared(role=role, config=config, homeserver=homeserver)


def refusal(error: ConfigError) -> ConfigurationRefusedError:
    """Synapse's refusal as Synapse words it."""
    return ConfigurationRefusedError("".join(format_config_error(error)))


def warm_up(prepared: Prepared) -> None:
    """Makes what needs no database, and keeps it, and all imports, out of later collections.

    Synapse collects garbage again in the reactor's thread once the port is open, while the first
    requests wait; after this, that takes no time.
    """
    # Both read every certificate that the machine trusts. Synapse keeps the one for itself, and
    # makes the other together with what needs its stores.
    prepared.homeserver.get_http_client_context_factory()
    policy = context_factory.FederationPolicyForHTTPS(prepared.config)
    context_factory.FederationPolicyForHTTPS = lambda _config: policy
    gc.collect()
    gc.freeze()


def await_database(prepared: Prepared, state: State) -> database.Found:
    """Returns once PostgreSQL takes connections, and is one that this image can use.

    Raises:
        ConfigurationRefusedError: if it never can.
        StartupFailedError: if the database cannot be used.

    """
    with LoggingContext(name="launcher", server_name=prepared.config.server.server_name):
        found = database.await_server(prepared.config, lambda what: state.change(waiting_for=what))
    state.change(database=found.facts, waiting_for=None)
    return found


def enter(prepared: Prepared, state: State, signals: Signals, *, found: database.Found) -> None:
    """Connects to the database, migrates it as main or waits for main, and builds the stores.

    Args:
        prepared: the homeserver that enters.
        state: is told what is being done.
        signals: are deferred while a schema is made.
        found: the database as it was before; a schema does not become older.

    Raises:
        ConfigurationRefusedError: where Synapse refuses its configuration only now.
        StartupFailedError: if the database cannot be used.

    """
    application, config = _APPLICATIONS[prepared.role], prepared.config
    with (
        LoggingContext(name="launcher", server_name=config.server.server_name),
        contextlib.ExitStack() as stack,
    ):
        if prepared.role == "main":
            facts = found.facts if found.complete else database.examine(config)
            state.change(database=facts, phase="migrating", waiting_for=database.migration(facts))
            if facts.schema_version is None:
                # Synapse makes a new schema in many transactions; cut short, it never starts
                # again (matrix-org/synapse#8310). What it adds to one, PostgreSQL undoes.
                stack.enter_context(signals.deferred())
        else:
            if not found.complete:
                database.await_schema(
                    config, lambda what: state.change(phase="migrating", waiting_for=what)
                )
            state.change(phase="migrating", waiting_for=None)
        try:
            with isolation.reading_what_is_committed():
                application.setup(prepared.homeserver)
        except ConfigError as error:
            raise refusal(error) from error
        if not found.complete:
            state.change(database=database.examine(config))
        state.change(waiting_for=None)
    if not config.logging.no_redirect_stdio:
        _base.redirect_stdio_to_logs()


def run(
    prepared: Prepared,
    *,
    on_start: Callable[[], None],
    on_failure: Callable[[Exception], None],
) -> None:
    """Runs the reactor until something stops it.

    Args:
        prepared: a homeserver that has entered.
        on_start: called in the reactor's thread once Synapse listens.
        on_failure: called there with the exception if Synapse fails to start; must not return.

    """
    application, config = _APPLICATIONS[prepared.role], prepared.config

    async def start() -> None:
        try:
            await appservices.take_over(prepared.homeserver)
            await application.start(prepared.homeserver)
        except ConfigError as error:
            on_failure(refusal(error))
        except ListenerException as error:
            on_failure(StartupFailedError(f"{error}: {error.__cause__}"))
        except Exception as error:
            logger.exception("Synapse failed to start")
            on_failure(error)
        else:
            on_start()

    with LoggingContext(name="launcher", server_name=config.server.server_name):
        _base.register_start(prepared.homeserver, start)
        if prepared.role == "main":
            synapse.app.homeserver.start_reactor(config)
        else:
            _base.start_worker_reactor("synapse-generic-worker", config)
