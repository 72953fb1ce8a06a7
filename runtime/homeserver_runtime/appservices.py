"""What application services are to be sent, and Synapse would lose: in an outage, or at its end.

Synapse takes events from its memory, writes them into a transaction, and sends that. Where it
cannot write they are gone, as is at its end all that it has not written yet; and what it has
written and not sent it looks for only after it has found an application service to be down. Sends
nothing itself, and keeps nothing that Synapse would not: messages to devices, typing and presence.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import psycopg2
from synapse.appservice import ApplicationServiceState
from synapse.appservice.scheduler import MAX_PERSISTENT_EVENTS_PER_TRANSACTION
from synapse.types import DeviceListUpdates
from synapse.util.duration import Duration
from twisted.enterprise.adbapi import ConnectionLost

logger = logging.getLogger(__name__)

_NOTHING_MORE = -1
_AGAIN = Duration(seconds=1)
_AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError, ConnectionLost)
_PATIENT = (
    "get_appservice_state",
    "create_appservice_txn",
    "complete_appservice_txn",
    "set_appservice_state",
    "set_appservice_last_pos",
)
"""What is asked of the database when events are in no other place, or have just been sent."""


async def take_over(homeserver: Any) -> None:
    """Before Synapse starts: has what an earlier process wrote and did not send be sent first."""
    handler, store = _handler(homeserver), homeserver.get_datastores().main
    services = store.get_app_services()
    if not services or not handler.notify_appservices:
        return
    for name in _PATIENT:
        setattr(store, name, _once_the_database_is_there(getattr(store, name), homeserver))
    unsent = await store.db_pool.simple_select_onecol(
        "application_services_txns", None, "DISTINCT as_id", desc="unsent_appservice_txns"
    )
    for service in services:
        if service.id in unsent:
            await store.set_appservice_state(service, ApplicationServiceState.DOWN)
    # Else it would try who is down only when there is something new for anybody.
    handler.started_scheduler = True
    await handler.scheduler.start()
    # And look for what came while an earlier process ended only when more comes.
    handler.notify_interested_services(store.get_room_max_token())


def begin_no_more(homeserver: Any) -> None:
    """Leaves what is new from now on to the next process."""
    handler, store = _handler(homeserver), homeserver.get_datastores().main
    handler.notify_interested_services = _ignore
    handler.notify_interested_services_ephemeral = _ignore
    # Ends Synapse's loop. Who is in the middle of a look takes up nothing more, but would note down
    # this very number as the place up to which all has been sent.
    handler.current_max = _NOTHING_MORE
    store.set_appservice_last_pos = _unless_nothing_was_read(store.set_appservice_last_pos)


def in_hand(homeserver: Any) -> int:
    """How many application services are being sent something, or are about to."""
    handler = _handler(homeserver)
    return len(handler.scheduler.queuer.requests_in_flight) + int(handler.is_processing)


async def leave(homeserver: Any) -> None:
    """Writes down what has not been sent yet, for the next process."""
    store, queuer = homeserver.get_datastores().main, _handler(homeserver).scheduler.queuer
    for service in store.get_app_services():
        events = queuer.queued_events.pop(service.id, [])
        for first in range(0, len(events), MAX_PERSISTENT_EVENTS_PER_TRANSACTION):
            await store.create_appservice_txn(
                service=service,
                events=events[first : first + MAX_PERSISTENT_EVENTS_PER_TRANSACTION],
                ephemeral=[],
                to_device_messages=[],
                one_time_keys_count={},
                unused_fallback_keys={},
                device_list_summary=DeviceListUpdates(),
            )


def _handler(homeserver: Any) -> Any:
    return homeserver.get_application_service_handler()


def _ignore(*_args: Any, **_kwargs: Any) -> None:
    pass


def _unless_nothing_was_read(note: Any) -> Any:
    @functools.wraps(note)
    async def note_what_was_read(position: int) -> None:
        if position > _NOTHING_MORE:
            await note(position)

    return note_what_was_read


def _once_the_database_is_there(ask: Any, homeserver: Any) -> Any:
    @functools.wraps(ask)
    async def ask_until_answered(*args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return await ask(*args, **kwargs)
            except _AWAY as error:
                logger.warning("Application services wait for the database: %s", error)
                await homeserver.get_clock().sleep(_AGAIN)

    return ask_until_answered
