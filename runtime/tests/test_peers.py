"""What processes that stop together learn of each other and of those that wait.

On a real PostgreSQL.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from tests.held import Held, terminate
from tests.services import wait_until

from homeserver_runtime.fence.claim import BUSY, NEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services import Postgres

    from homeserver_runtime.fence.peers import Answer

pytestmark = pytest.mark.synapse
pytest_plugins = ["tests.fixtures"]


def answer(held: Held) -> Answer:
    """What it is answered to a question that it asks from now on."""
    now, peers = time.monotonic(), held.fence.peers
    wait_until(lambda: peers.answer and peers.answer.asked > now, what="an answer", seconds=20)
    assert peers.answer is not None
    return peers.answer


def needed(held: Held) -> bool:
    """Whether it is told so."""
    return answer(held).needed


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
    assert answer(second).hurried


def test_a_namesake_that_waits_makes_nobody_wait_for_others(claim: Callable[..., Held]) -> None:
    old, _serves = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    claim("a", topology=1).start().wait_waiting()
    old.fence.peers.say(busy=False)
    assert not needed(old)
    assert not answer(old).hurried


@pytest.mark.parametrize("asks", [True, False], ids=["who asks", "who only tells"])
def test_what_was_said_is_said_again_after_the_loss_of_a_session_by(
    claim: Callable[..., Held], own_postgres: Postgres, database: str, *, asks: bool
) -> None:
    idle, busy = claim("a", topology=1).enter(), claim("b", topology=1).enter()
    busy.fence.peers.say(busy=True, asks=asks)
    idle.fence.peers.say(busy=False)
    wait_until(lambda: needed(idle), what="the word of the other", seconds=20)
    terminate(
        own_postgres,
        database,
        f"pid IN (SELECT pid FROM pg_locks WHERE classid = {BUSY})",  # noqa: S608
    )
    wait_until(lambda: not needed(idle), what="the loss", seconds=20)
    wait_until(lambda: needed(idle), what="the word to be said again", seconds=20)


def test_who_stops_learns_where_those_wait_that_can_answer_the_same(
    claim: Callable[..., Held],
) -> None:
    old = claim("reader", duties=["reads"], topology=1).enter()
    for name, duties, address in (
        ("writer", ["writes"], "10.0.0.3"),
        ("reader", ["reads"], "10.0.0.2"),
        ("other-reader", ["reads"], "10.0.0.1"),
        ("reader-that-writes", ["reads", "writes"], "10.0.0.4"),
        ("without-an-address", ["reads"], ""),
    ):
        claim(name, duties=duties, address=address, topology=2).start().wait_waiting()
    old.fence.peers.say(busy=True)
    wait_until(
        lambda: answer(old).successors == ("10.0.0.1", "10.0.0.2"),
        what="the addresses of both",
        seconds=20,
    )


def test_where_nobody_has_just_the_same_duties_one_with_more_is_told_of(
    claim: Callable[..., Held],
) -> None:
    old = claim("main", duties=["main"], topology=1).enter()
    new = claim("main", duties=["main", "typing"], address="10.0.0.2", topology=2).start()
    new.wait_waiting()
    old.fence.peers.say(busy=True)
    wait_until(lambda: answer(old).successors == ("10.0.0.2",), what="its address", seconds=20)


def test_nobody_is_sent_to_a_later_epoch_while_one_of_this_has_not_been_told_to_stop(
    claim: Callable[..., Held],
) -> None:
    evicted = claim("reader", duties=["reads"], topology=1).enter()
    serves = claim("other", duties=["reads"], topology=1).enter()
    new = claim("new", duties=["reads"], address="10.0.0.2", topology=2).start()
    new.wait_waiting()
    evicted.fence.peers.say(busy=True)
    assert not answer(evicted).successors
    serves.fence.peers.say(busy=True)
    wait_until(lambda: answer(evicted).successors == ("10.0.0.2",), what="both", seconds=20)
    serves.fence.peers.say(busy=False)
    assert answer(evicted).successors == ("10.0.0.2",)


def test_of_its_own_epoch_only_a_namesake_succeeds_a_process(claim: Callable[..., Held]) -> None:
    old, other = (claim(n, duties=["reads"], topology=1).enter() for n in ("typing", "other"))
    for name, address in (("other", "10.0.0.1"), ("typing", "10.0.0.2")):
        waits = claim(name, duties=["reads"], address=address, topology=1)
        waits.start().wait_waiting()
    old.fence.peers.say(busy=True)
    wait_until(lambda: answer(old).successors == ("10.0.0.2",), what="its address", seconds=20)
    assert other.fence.peers.answer is None


def test_who_is_replaced_while_a_later_epoch_waits_is_followed_by_its_namesake(
    claim: Callable[..., Held],
) -> None:
    """A node may be drained while a switch waits for its window."""
    evicted, other = (claim(n, duties=["reads"], topology=1).enter() for n in ("reader", "other"))
    later = claim("reader", duties=["reads"], address="10.0.0.3", topology=2).start()
    replacement = claim("reader", duties=["reads"], address="10.0.0.2", topology=1).start()
    for each in (later, replacement):
        each.wait_waiting()
    evicted.fence.peers.say(busy=False)
    wait_until(lambda: answer(evicted).successors == ("10.0.0.2",), what="its own", seconds=20)
    assert not needed(evicted)
    # The switch has begun: whoever waits in this epoch will never run.
    other.fence.peers.say(busy=False)
    wait_until(lambda: answer(evicted).successors == ("10.0.0.3",), what="the later", seconds=20)


def test_nobody_is_sent_to_an_epoch_that_was_given_up_for_a_later_one(
    claim: Callable[..., Held],
) -> None:
    old = claim("reader", duties=["reads"], topology=1).enter()
    for epoch, address in ((2, "10.0.0.2"), (3, "10.0.0.3")):
        new = claim("reader", duties=["reads"], address=address, topology=epoch).start()
        new.wait_waiting()
    old.fence.peers.say(busy=True)
    wait_until(lambda: answer(old).successors == ("10.0.0.3",), what="its address", seconds=20)


def test_who_no_longer_waits_is_no_successor(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    old = claim("reader", duties=["reads"], topology=1).enter()
    gone = claim("reader", duties=["reads"], address="10.0.0.2", topology=2).start()
    gone.wait_waiting()
    old.fence.peers.say(busy=True)
    wait_until(lambda: answer(old).successors, what="its address", seconds=20)
    gone.fence.leave()
    wait_until(lambda: not answer(old).successors, what="its end", seconds=20)

    claim("reader", duties=["reads"], address="10.0.0.4", topology=2).start().wait_waiting()
    wait_until(lambda: answer(old).successors == ("10.0.0.4",), what="the next", seconds=20)
    # What was said by the first is forgotten with it.
    with (
        contextlib.closing(own_postgres.connect(database)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT address FROM homeserver_successors")
        assert cursor.fetchall() == [("10.0.0.4",)]


def test_where_one_waits_is_said_again_after_the_loss_of_its_session(
    claim: Callable[..., Held], own_postgres: Postgres, database: str
) -> None:
    old = claim("reader", duties=["reads"], topology=1).enter()
    claim("reader", duties=["reads"], address="10.0.0.2", topology=2).start().wait_waiting()
    old.fence.peers.say(busy=True)
    wait_until(lambda: answer(old).successors, what="its address", seconds=20)
    terminate(
        own_postgres,
        database,
        f"pid IN (SELECT pid FROM pg_locks WHERE classid = {NEXT})",  # noqa: S608
    )
    wait_until(lambda: not answer(old).successors, what="the loss", seconds=20)
    wait_until(lambda: answer(old).successors == ("10.0.0.2",), what="its word", seconds=20)
