"""Every look at the gate tells the highest epochs ever, on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.parsed import parsed
from tests.services import LOOPBACK, Postgres, wait_until

from e2e.cluster.ports import free_port
from homeserver_runtime import fencing
from homeserver_runtime.contract import Launch
from homeserver_runtime.fence.claim import Claim
from homeserver_runtime.fence.statements import ENTER, Answer, ask
from homeserver_runtime.state import Snapshot, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from homeserver_runtime.fence.fence import Fence

    Enter = Callable[..., tuple[Any, Answer]]

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)


@pytest.fixture
def database(own_postgres: Postgres) -> str:
    name = f"recorded_{free_port()}"
    own_postgres.create_database(name)
    return name


@pytest.fixture
def enter(own_postgres: Postgres, database: str) -> Iterator[Enter]:
    """Asks to enter in a session of its own; all sessions end with the test."""
    holders = itertools.count(1)
    with contextlib.ExitStack() as stack:

        def one(
            name: str, contents: Mapping[str, str] | None = None, **epochs: int
        ) -> tuple[Any, Answer]:
            session = stack.enter_context(contextlib.closing(own_postgres.connect(database)))
            claim = Claim(name=name, epochs=epochs, contents=contents or {})
            return session, ask(session, ENTER, claim, next(holders))

        yield one


def test_who_enters_is_told_its_own_epochs_which_are_the_latest(
    enter: Enter,
) -> None:
    answer = enter("main", topology=3, push=1)[1]
    assert (answer.outcome, answer.recorded) == ("entered", {"topology": 3, "push": 1})


def test_who_waits_is_told_the_epoch_that_lives(
    enter: Enter,
) -> None:
    enter("main", topology=3)
    answer = enter("main", topology=4, push=1)[1]
    assert (answer.outcome, answer.recorded) == ("wait", {"topology": 3})


def test_who_is_superseded_is_told_of_every_fence_that_it_claims(
    enter: Enter,
) -> None:
    enter("main", topology=3, push=7, federation=9)
    answer = enter("pusher-0", topology=2, push=8, userDirectory=1)[1]
    assert (answer.outcome, answer.fence, answer.epoch) == ("superseded", "topology", 3)
    assert answer.recorded == {"topology": 3, "push": 7}


def test_what_was_recorded_is_told_when_all_have_gone(
    enter: Enter,
) -> None:
    session, _ = enter("main", topology=3, push=2)
    session.close()
    wait_until(
        lambda: enter("main", topology=3, push=1)[1].recorded == {"topology": 3, "push": 2},
        what="the record",
    )


@pytest.mark.parametrize("died", [False, True], ids=["while it lives", "after it has died"])
def test_an_epoch_that_meant_something_else_is_not_entered(enter: Enter, *, died: bool) -> None:
    mine, other = {"topology": "mine"}, {"topology": "of a former life"}
    session, _ = enter("main", other, topology=3)
    if died:
        session.close()
    answer = enter("persister-0", mine, topology=3, push=1)[1]
    assert (answer.outcome, answer.fence, answer.epoch) == ("superseded", "topology", 3)
    # Who agrees, and who does not say what it goes by, are welcome.
    assert enter("sender-0", other, topology=3)[1].outcome == "entered"
    assert enter("sender-1", topology=3)[1].outcome == "entered"


def test_a_later_epoch_may_mean_something_else(enter: Enter) -> None:
    session, _ = enter("main", {"topology": "of a former life"}, topology=3)
    session.close()
    mine = {"topology": "mine"}
    wait_until(lambda: enter("main", mine, topology=4)[1].outcome == "entered", what="entry")
    assert enter("persister-0", mine, topology=4)[1].outcome == "entered"


def process(
    postgres: Postgres, database: str, name: str, epochs: Mapping[str, int]
) -> tuple[State, Callable[[], Fence]]:
    """A process's state, and how it enters."""
    arguments = {
        "host": LOOPBACK, "port": postgres.port, "user": "postgres",
        "password": postgres.password, "dbname": database, "cp_min": 1, "cp_max": 2,
    }  # fmt: skip
    state = State(Snapshot(name=name, role="main", revision=None, synapse="0"))
    launch = Launch(name=name, role="main", probe_port=1, fences=epochs)
    config = parsed(database={"name": "psycopg2", "args": arguments})
    reserve = fencing.prepare(config, launch)
    return state, lambda: fencing.enter(
        config, launch, state, ends=lambda _why: None, reserve=reserve
    )


def test_state_tells_loss_and_retaking(own_postgres: Postgres, database: str) -> None:
    state, enter_it = process(own_postgres, database, "main", {"topology": 3})
    assert state.now.document()["seconds"]["entered"] is None
    fence = enter_it()
    with contextlib.closing(own_postgres.connect(database)) as other:
        assert state.now.fences == state.now.recorded == {"topology": 3}
        entered = state.now.document()["seconds"]["entered"]
        assert entered is not None
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        wait_until(lambda: state.now.retakes == 1, what="the fences to be taken again")
        assert (state.now.losses, state.now.fences) == (1, {"topology": 3})
        assert state.now.document()["seconds"]["entered"] == entered
    fence.leave()
    # To leave is not to lose.
    assert (state.now.losses, state.now.fences) == (1, {"topology": 3})


def test_a_waiting_process_hears_of_what_is_recorded_meanwhile(
    own_postgres: Postgres, database: str, enter: Enter
) -> None:
    main, _ = enter("main", topology=1)
    state, enter_it = process(own_postgres, database, "waits", {"topology": 2, "push": 5})
    fences: list[Fence] = []
    waiter = threading.Thread(target=lambda: fences.append(enter_it()), daemon=True)
    waiter.start()
    wait_until(lambda: state.now.recorded == {"topology": 1}, what="the first look")
    pusher, _ = enter("pusher-0", topology=1, push=4)
    wait_until(lambda: state.now.recorded == {"topology": 1, "push": 4}, what="another look")
    assert state.now.fences == {}
    assert state.now.waiting_for is not None
    main.close()
    pusher.close()
    waiter.join(20)
    assert state.now.recorded == state.now.fences == {"topology": 2, "push": 5}
    fences[0].leave()
