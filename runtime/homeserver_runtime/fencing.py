"""Puts this process's fences around every connection that Synapse makes to the database.

Synapse passes its database arguments through to psycopg2, so a connection factory among them is all
that it takes. Decides nothing about fences.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import psycopg2

from homeserver_runtime.configuration import silent_seconds
from homeserver_runtime.contract import ConfigurationRefusedError
from homeserver_runtime.duties import duties
from homeserver_runtime.fence import session
from homeserver_runtime.fence.claim import Claim
from homeserver_runtime.fence.fence import LOOK_AGAIN_SECONDS, Fence
from homeserver_runtime.fence.reserve import Reserve
from homeserver_runtime.label import label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_runtime.contract import Launch
    from homeserver_runtime.state import State

_RETURN_SECONDS = 2.0
"""For the pause between two attempts to connect, for one that succeeds, and for nodes that learn
later than others where the database is now."""


def prepare(config: Any, launch: Launch) -> Reserve:
    """Returns what this process may use of the database once it has entered.

    As many connections as Synapse's pool is to have at least, or none.

    Args:
        config: Synapse's parsed configuration.
        launch: names the process.

    Raises:
        ConfigurationRefusedError: if a pooler makes locks meaningless.

    """
    try:
        session.refuse_pooler(_connect(config))
    except session.PooledError as error:
        raise ConfigurationRefusedError(f"{launch.name}: {error}") from error
    reserve = Reserve()
    reserve.fill(_connect(config), int(_arguments(config).get("cp_min", 0)))
    return reserve


def enter(
    config: Any,
    launch: Launch,
    state: State,
    *,
    ends: Callable[[str], None],
    reserve: Reserve,
    database_was_away: bool = False,
) -> Fence:
    """Returns once this process holds its fences; from then on Synapse's connections do, too.

    Args:
        config: Synapse's parsed configuration, changed in place.
        launch: names the process and its epochs.
        state: is told what is waited for, and what is held.
        ends: is told why the process must end, should it lose its fences for good.
        reserve: what `prepare` made.
        database_was_away: whether this process had to wait for the database.

    Raises:
        SupersededError: if a later epoch has been entered, or this one with another content.

    """
    arguments = _arguments(config)
    named = {"application_name": label(launch.name, launch.fences, launch.pod_name)}
    fence = Fence(
        Claim(
            name=launch.name,
            epochs=launch.fences,
            contents=launch.fence_contents,
            cohort="topology",
            duties=duties(config),
            address=launch.pod_address or "",
        ),
        functools.partial(_connect(config), **named),
        waits_for=lambda what: state.change(waiting_for=what),
        ends=ends,
        recorded=lambda epochs: state.change(recorded=epochs),
        holds=lambda held: _note(held, launch, state),
        yield_seconds=yield_seconds(arguments),
        first_yield_seconds=first_yield_seconds(arguments) if database_was_away else 0.0,
        reserve=reserve,
    )
    fence.enter()
    for database in config.database.databases:
        database.config["args"] |= {"connection_factory": fence.open, **named}
    return fence


def yield_seconds(arguments: Mapping[str, Any]) -> float:
    """How long a waiter that lost its session lets those who ran before it go first.

    From when it reaches the database again. The kernel gives a silent node up a while after it was
    last heard of: by a waiter at most a look before it died, by a holder perhaps just then. And an
    attempt to connect that a holder began before the database was back takes all of its time.
    """
    return LOOK_AGAIN_SECONDS + _until_connected(arguments)


def first_yield_seconds(arguments: Mapping[str, Any]) -> float:
    """How long one does that had no session to lose, and so does not know since when it was away.

    A holder may still have to notice that the node it talks to is gone.
    """
    return silent_seconds(arguments) + _until_connected(arguments)


def _until_connected(arguments: Mapping[str, Any]) -> float:
    return float(arguments.get("connect_timeout", 0)) + _RETURN_SECONDS


def _arguments(config: Any) -> dict[str, Any]:
    """Of Synapse's parsed configuration, those with which its pool is made."""
    return dict(config.database.databases[0].config["args"])


def _connect(config: Any) -> Callable[..., Any]:
    return functools.partial(
        psycopg2.connect,
        **{name: value for name, value in _arguments(config).items() if not name.startswith("cp_")},
    )


def _note(held: bool, launch: Launch, state: State) -> None:
    now = state.now
    if not held:
        state.change(fences={}, losses=now.losses + 1)
    elif "entered" in now.reached:
        state.change(fences=launch.fences, retakes=now.retakes + 1)
    else:
        state.reach("entered", fences=launch.fences)
