"""The rules of the queue, with time as a number."""

import functools
import math
import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from homeserver_operator.api.world import Key
from homeserver_operator.schedule import NEVER, Rules, Schedule

SEEDED = functools.partial(random.Random, 1)
ALPHA, BETA, GAMMA = (Key("chat", name) for name in ("alpha", "beta", "gamma"))
RULES = Rules(pause=0.25, resync=600, first_retry=1, last_retry=300, jitter=0.0)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(RULES, SEEDED())


def test_a_key_is_in_line_once_however_often_it_is_added(schedule: Schedule) -> None:
    for _ in range(5):
        schedule.add(ALPHA, 0)

    assert [schedule.pop(0), schedule.pop(0)] == [ALPHA, None]


def test_a_running_key_is_not_started_again_but_right_after(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.add(ALPHA, 1)

    assert schedule.pop(1) is None

    schedule.done(ALPHA, 2)

    assert schedule.pop(2.24) is None
    assert schedule.pop(2.25) == ALPHA


def test_a_burst_of_events_becomes_one_run_per_pause(schedule: Schedule) -> None:
    runs, now = 0, 0.0
    while now < 10:
        schedule.add(ALPHA, now)
        if schedule.pop(now):
            schedule.done(ALPHA, now)
            runs += 1
        now += 1 / 64

    assert runs == 40


def test_fresh_edits_go_before_the_backlog(schedule: Schedule) -> None:
    for number in range(1000):
        schedule.add(Key("chat", str(number)), 0)
    schedule.add(ALPHA, 5, fresh=True)

    assert schedule.pop(5) == ALPHA


def test_a_key_of_the_backlog_that_is_edited_goes_before_the_others(schedule: Schedule) -> None:
    for key in (ALPHA, BETA, GAMMA):
        schedule.add(key, 0)
    schedule.depth(0)
    schedule.add(GAMMA, 0, fresh=True)

    assert [schedule.pop(0) for _ in range(4)] == [GAMMA, ALPHA, BETA, None]


def test_the_backlog_is_served_in_order_of_arrival(schedule: Schedule) -> None:
    for now, key in enumerate((BETA, GAMMA, ALPHA)):
        schedule.add(key, now)

    assert [schedule.pop(9) for _ in range(3)] == [BETA, GAMMA, ALPHA]


def test_failures_back_off_up_to_the_longest_wait(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    waits = []
    now = 0.0
    for _ in range(12):
        assert schedule.pop(now) == ALPHA
        waits.append(schedule.failed(ALPHA, now))
        now += waits[-1]

    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-1] == 300


def test_a_good_run_ends_the_backoff(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.failed(ALPHA, 0)
    schedule.pop(1)
    schedule.done(ALPHA, 1)
    schedule.add(ALPHA, 2)
    schedule.pop(2)

    assert schedule.failed(ALPHA, 2) == 1


def test_events_of_children_do_not_shorten_a_backoff(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.add(ALPHA, 0)
    schedule.failed(ALPHA, 0)
    schedule.add(ALPHA, 0.5)

    assert schedule.pop(0.99) is None
    assert schedule.pop(1) == ALPHA


def fail_often(schedule: Schedule) -> float:
    """Until the wait is the longest; return when the last failure was."""
    now = 0.0
    schedule.add(ALPHA, now)
    for _ in range(12):
        assert schedule.pop(now) == ALPHA
        wait = schedule.failed(ALPHA, now)
        now += wait
    assert wait == 300
    return now - wait


@pytest.mark.parametrize("after", [0.5, 14, 100])
def test_after_many_failures_events_of_children_are_heeded_a_few_times_a_minute(
    schedule: Schedule, after: float
) -> None:
    """A restart goes on by them, though one write keeps failing."""
    last = fail_often(schedule)
    schedule.add(ALPHA, last + after)

    heeded = last + max(after, 15)
    assert schedule.pop(heeded - 0.01) is None
    assert schedule.pop(heeded) == ALPHA
    assert schedule.failed(ALPHA, heeded) == 300, "it is no success"
    schedule.add(ALPHA, heeded + 1)
    assert schedule.pop(heeded + 14.99) is None


def test_an_event_of_a_child_during_a_failing_run_is_heeded_as_soon(schedule: Schedule) -> None:
    """It may come of what that very run has written."""
    now = fail_often(schedule) + 300
    assert schedule.pop(now) == ALPHA
    schedule.add(ALPHA, now)

    assert schedule.failed(ALPHA, now) == 15
    assert schedule.pop(now + 14.99) is None
    assert schedule.pop(now + 15) == ALPHA
    assert schedule.failed(ALPHA, now + 15) == 300


def test_an_edit_does_not_wait_for_the_end_of_a_backoff(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    for now in (0.0, 1.0, 3.0, 7.0):
        assert schedule.pop(now) == ALPHA
        schedule.failed(ALPHA, now)
    schedule.add(ALPHA, 8, fresh=True)

    assert schedule.pop(8) == ALPHA


def test_an_edit_during_a_failing_run_is_tried_after_the_pause(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.add(ALPHA, 1, fresh=True)

    assert schedule.failed(ALPHA, 2) == 0.25
    assert schedule.pop(2.25) == ALPHA


def test_a_reconcile_that_asks_for_it_is_run_again_in_time(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.done(ALPHA, 1, again_in=3)

    assert schedule.next_due() == 4


def test_without_a_cause_a_key_is_looked_at_every_resync(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.done(ALPHA, 1)

    assert schedule.next_due() == 601


def test_who_waits_for_longer_than_a_resync_is_looked_at_all_the_same(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.done(ALPHA, 0, again_in=6 * 24 * 3600)
    assert schedule.next_due() == 600


def test_the_resync_is_spread() -> None:
    schedule = Schedule(Rules(resync=600, jitter=0.1), SEEDED())
    dues = set()
    for number in range(100):
        key = Key("chat", str(number))
        schedule.add(key, 0)
        schedule.pop(0)
        schedule.done(key, 0)
    while (due := schedule.next_due()) < NEVER:
        dues.add(due)
        due_key = schedule.pop(due)
        assert due_key is not None
        schedule.done(due_key, due, again_in=NEVER)

    assert len(dues) == 100


def test_a_forgotten_key_is_not_woken_by_add_all(schedule: Schedule) -> None:
    for key in (ALPHA, BETA):
        schedule.add(key, 0)
        schedule.pop(0)
        schedule.done(key, 0, again_in=NEVER if key is ALPHA else None)
    schedule.add_all(10)

    assert [schedule.pop(10), schedule.pop(10)] == [BETA, None]


def test_a_key_added_while_it_ends_for_good_is_run_again(schedule: Schedule) -> None:
    schedule.add(ALPHA, 0)
    schedule.pop(0)
    schedule.add(ALPHA, 0)
    schedule.done(ALPHA, 1, again_in=NEVER)

    assert schedule.pop(2) == ALPHA


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens: serial per key, no wake-up lost, nothing too early."""

    keys = st.sampled_from((ALPHA, BETA, GAMMA))

    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.schedule = Schedule(RULES, SEEDED())
        self.running: set[Key] = set()
        self.owed: set[Key] = set()
        self.ended: dict[Key, float] = {}

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys, fresh=st.booleans())
    def add(self, key: Key, fresh: bool) -> None:
        self.schedule.add(key, self.now, fresh=fresh)
        self.owed.add(key)

    @rule()
    def pop(self) -> None:
        key = self.schedule.pop(self.now)
        if key is not None:
            assert key not in self.running
            assert self.now >= self.ended.get(key, -math.inf) + RULES.pause
            self.running.add(key)
            self.owed.discard(key)

    @rule(key=keys, again_in=st.sampled_from((None, 0.0, 1.0, NEVER)))
    def done(self, key: Key, again_in: float | None) -> None:
        if key in self.running:
            self.running.discard(key)
            self.ended[key] = self.now
            if again_in == NEVER:
                # A forgotten key starts afresh, its pause included.
                self.ended.pop(key)
            self.schedule.done(key, self.now, again_in=again_in)

    @rule(key=keys)
    def fail(self, key: Key) -> None:
        if key in self.running:
            self.running.discard(key)
            self.ended[key] = self.now
            self.schedule.failed(key, self.now)
            self.owed.add(key)

    @invariant()
    def what_is_owed_has_a_time(self) -> None:
        waiting = self.owed - self.running
        in_line = self.schedule.depth(self.now) + (self.schedule.next_due() < NEVER)
        assert not waiting or in_line

    def teardown(self) -> None:
        """After everything has ended and enough time has passed, everything owed has run."""
        for key in self.running:
            self.schedule.done(key, self.now, again_in=NEVER)
        popped = set()
        while (key_ := self.schedule.pop(self.now + 1000)) is not None:
            popped.add(key_)
        assert self.owed <= popped


test_any_history = AnyHistory.TestCase
