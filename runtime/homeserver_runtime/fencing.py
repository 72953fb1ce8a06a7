"""Puts this process's fences around every connection that Synapse makes to the database.

Synapse passes its database arguments through to psycopg2, so a connection factory among them is all
that it takes. Decides nothing about fences.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import psycopg2

from homeserver_runtime.contract import ConfigurationRefusedError
from homeserver_runtime.fence.claim import Claim
from homeserver_runtime.fence.fence import Fence
from homeserver_runtime.fence.session import PooledError, refuse_pooler

if TYPE_CHECKING:
    from collections.abc import Callable

    from homeserver_runtime.contract import Launch
    from homeserver_runtime.state import State


def enter(config: Any, launch: Launch, state: State, *, ends: Callable[[str], None]) -> Fence:
    """Returns once this process holds its fences; from then on Synapse's connections do, too.

    Args:
        config: Synapse's parsed configuration, changed in place.
        launch: names the process and its epochs.
        state: is told what is waited for, and what is held.
        ends: is told why the process must end, should it lose its fences for good.

    Raises:
        ConfigurationRefusedError: if a pooler makes locks meaningless.
        SupersededError: if a later epoch has been entered.

    """
    named = {"application_name": _label(launch)}
    arguments = config.database.databases[0].config["args"] | named
    connect = functools.partial(
        psycopg2.connect,
        **{name: value for name, value in arguments.items() if not name.startswith("cp_")},
    )
    try:
        refuse_pooler(connect)
    except PooledError as error:
        raise ConfigurationRefusedError(f"{launch.name}: {error}") from error
    fence = Fence(
        Claim(name=launch.name, epochs=launch.fences, cohort="topology"),
        connect,
        waits_for=lambda what: state.change(waiting_for=what),
        ends=ends,
    )
    fence.enter()
    for database in config.database.databases:
        database.config["args"] |= {"connection_factory": fence.open, **named}
    state.change(fences=launch.fences)
    return fence


def _label(launch: Launch) -> str:
    """Who this is in pg_stat_activity; PostgreSQL cuts it after 63 bytes."""
    epochs = " ".join(f"{name}:{epoch}" for name, epoch in sorted(launch.fences.items()))
    return f"{launch.name} {epochs}"
