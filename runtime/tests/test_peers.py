"""What processes that stop together learn of each other, on a real PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.held import Held, terminate
from tests.services import wait_until

from homeserver_runtime.fence.claim import BUSY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services import Postgres

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]


def needed(held: Held) -> bool:
    """What it is answered to a question that it asks from now on."""
    now, peers = time.monotonic(), held.fence.peers
    wait_until(lambda: peers.answer and peers.answer.asked > now, what="an answer", seconds=20)
    assert peers.answer is not None
    return peers.answer.needed


def test_who_stops_alone_is_not_needed(claim: Callable[..., Held]) -> None:
    alone, serves = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    alone.fence.peers.say(busy=False)
    assert not needed(alone)
    assert serves.fence.peers.answer is None


def test_who_stops_with_a_busy_one_is_needed_until_that_one_is_idle(
    claim: Callable[..., Held],
) -> None:
    idle, busy = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    busy.fence.peers.say(busy=True)
    assert not needed(busy)
    idle.fence.peers.say(busy=False)
    assert needed(idle)
    busy.fence.peers.say(busy=False)
    wait_until(lambda: not needed(idle), what="the word of the other", seconds=20)
    busy.fence.peers.say(busy=True)
    wait_until(lambda: needed(idle), what="the other to change its mind", seconds=20)


def test_who_dies_while_it_is_busy_needs_nobody(claim: Callable[..., Held]) -> None:
    idle, busy = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    busy.fence.peers.say(busy=True)
    idle.fence.peers.say(busy=False)
    wait_until(lambda: needed(idle), what="the word of the other", seconds=20)
    busy.fence.leave()
    assert not needed(idle)


def test_where_a_later_epoch_waits_who_has_not_been_told_to_stop_still_needs_the_others(
    claim: Callable[..., Held],
) -> None:
    first, second = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    claim("c", topology=2).start().wait_waiting()
    first.fence.peers.say(busy=False)
    wait_until(lambda: needed(first), what="the wait for the other's signal", seconds=20)
    second.fence.peers.say(busy=True)
    assert needed(first)
    second.fence.peers.say(busy=False)
    wait_until(lambda: not needed(first), what="the other to drain", seconds=20)
    assert not needed(second)


def test_a_namesake_that_waits_makes_nobody_wait_for_others(claim: Callable[..., Held]) -> None:
    old, _serves = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    claim("a", topology=1).start().wait_waiting()
    old.fence.peers.say(busy=False)
    assert not needed(old)


def test_what_was_said_is_said_again_after_the_loss_of_a_session(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    idle, busy = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    busy.fence.peers.say(busy=True)
    idle.fence.peers.say(busy=False)
    wait_until(lambda: needed(idle), what="the word of the other", seconds=20)
    terminate(
        own_postgres,
        database,
        f"pid IN (SELECT pid FROM pg_locks WHERE classid = {BUSY})",  # noqa: S608
    )
    wait_until(lambda: not needed(idle), what="the loss", seconds=20)
    wait_until(lambda: needed(idle), what="the word to be said again", seconds=20)
