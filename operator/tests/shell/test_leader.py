"""The Lease: one writer at a time, quick take-over, no zombie writes."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.shell.conftest import Clock, Eventually
from tests.shell.fake_api import FakeApi
from tests.shell.objects import NAMESPACE, child

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.cluster import Cluster, LeadershipLostError
from homeserver_operator.leader import Leader, Timing
from homeserver_operator.metrics import Metrics

pytestmark = pytest.mark.long

QUICK = Timing(duration=2.0, deadline=1.5, renew=0.25, poll=0.05)
# Nobody takes a Lease because it ran out before a test gives up waiting.
LASTING = dataclasses.replace(QUICK, duration=600)
PATIENCE = 30
"""Seconds until a test gives up waiting for what is sure to happen."""

LOOK = ("GET", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/operator")

Make = Callable[..., Leader]


@pytest.fixture
def make(cluster: Cluster) -> Make:
    def leader(
        identity: str, clock: Callable[[], float] = time.monotonic, timing: Timing = QUICK
    ) -> Leader:
        return Leader(
            cluster,
            namespace=NAMESPACE,
            name="operator",
            identity=identity,
            clock=clock,
            metrics=Metrics(),
            timing=timing,
        )

    return leader


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def holder(api: FakeApi) -> str:
    lease = api.find("Lease", "operator")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


def writable(leader: Leader) -> bool:
    try:
        return leader.guard() > 0
    except LeadershipLostError:
        return False


async def test_who_does_not_hold_the_lease_may_not_write(make: Make) -> None:
    with pytest.raises(LeadershipLostError):
        make("a").guard()


async def test_the_first_creates_the_lease_and_may_write(api: FakeApi, make: Make) -> None:
    leader = make("a")
    await leader.acquire()

    assert holder(api) == "a"
    assert 0 < leader.guard() <= QUICK.deadline


async def renewed_for(seconds: float, api: FakeApi, clock: Clock, eventually: Eventually) -> None:
    """Let time pass, by steps that are shorter than a deadline, while somebody renews the Lease."""
    step = QUICK.deadline / 3
    until = clock.now + seconds
    while clock.now < until:
        before = api.find("Lease", "operator")
        await eventually(lambda: api.find("Lease", "operator") != before)  # noqa: B023 - awaited
        clock.now += step


async def looked(api: FakeApi, eventually: Eventually) -> None:
    """Wait until somebody has read the Lease from now on, and has seen what it got."""
    # What follows upon the answer to one look is done before the next look.
    until = api.requests.count(LOOK) + 2
    await eventually(lambda: api.requests.count(LOOK) >= until)


async def test_a_second_waits_as_long_as_the_first_renews(
    api: FakeApi, make: Make, clock: Clock, eventually: Eventually
) -> None:
    first, second = make("a", clock), make("b", clock)
    await first.acquire()
    async with running(first.hold()), running(second.acquire()) as waiting:
        await renewed_for(2 * QUICK.duration, api, clock, eventually)
        await looked(api, eventually)

        assert not waiting.done()
        assert writable(first)
        assert not writable(second)


async def test_a_released_lease_is_taken_before_it_has_run_out(
    api: FakeApi, make: Make, clock: Clock, eventually: Eventually
) -> None:
    first, second = make("a", clock), make("b", clock)
    await first.acquire()
    async with running(second.acquire()) as waiting:
        await looked(api, eventually)
        await first.release()
        assert not writable(first)
        await asyncio.wait_for(waiting, PATIENCE)

    assert holder(api) == "b"


async def test_a_dead_holder_is_replaced_after_its_lease_and_could_not_write_by_then(
    api: FakeApi, make: Make, clock: Clock, eventually: Eventually
) -> None:
    first, second = make("a", clock), make("b", clock)
    await first.acquire()
    async with running(second.acquire()) as waiting:
        await looked(api, eventually)
        clock.now += QUICK.duration
        await looked(api, eventually)
        assert not waiting.done()
        assert not writable(first)

        clock.now += 0.001
        await asyncio.wait_for(waiting, PATIENCE)
    assert writable(second)


async def test_a_zombie_that_wakes_up_after_a_take_over_is_refused_its_write(
    api: FakeApi, cluster: Cluster, make: Make
) -> None:
    first, second = make("a"), make("b")
    await first.acquire()
    await second.acquire()

    with pytest.raises(LeadershipLostError):
        await cluster.guarded(first.guard).apply(
            BY_KIND["ConfigMap"], NAMESPACE, child("ConfigMap", "c")
        )
    with pytest.raises(LeadershipLostError):
        await asyncio.wait_for(first.hold(), PATIENCE)
    await first.release()

    assert holder(api) == "b"
    assert api.find("ConfigMap", "c") is None


async def test_of_several_that_try_at_once_one_gets_it(
    api: FakeApi, make: Make, clock: Clock
) -> None:
    leaders = [make(str(number), clock) for number in range(8)]
    tasks = [asyncio.create_task(leader.acquire()) for leader in leaders]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done, pending = await asyncio.wait(tasks, timeout=10 * QUICK.poll)
    for task in pending:
        task.cancel()
    await asyncio.wait(tasks)

    assert len(done) == 1
    assert [writable(leader) for leader in leaders].count(True) == 1


async def test_a_holder_that_cannot_renew_gives_up_before_others_may_take_over(
    api: FakeApi, make: Make
) -> None:
    leader = make("a", timing=LASTING)
    await leader.acquire()
    api.fail("PUT", "leases", 503, times=1000)

    with pytest.raises(LeadershipLostError):
        await asyncio.wait_for(leader.hold(), PATIENCE)


async def test_a_holder_whose_renewals_hang_gives_up_in_time_too(api: FakeApi, make: Make) -> None:
    leader = make("a", timing=LASTING)
    await leader.acquire()
    api.fail("PUT", "leases", 503, times=1000, delay=2 * PATIENCE)

    with pytest.raises(LeadershipLostError):
        await asyncio.wait_for(leader.hold(), PATIENCE)


async def test_a_lease_that_somebody_annotated_is_renewed_all_the_same(
    api: FakeApi, make: Make, clock: Clock, eventually: Eventually
) -> None:
    leader = make("a", clock)
    await leader.acquire()
    lease = api.find("Lease", "operator")
    assert lease is not None
    await api.put({**lease, "metadata": {**lease["metadata"], "annotations": {"a": "b"}}})
    async with running(leader.hold()):
        await renewed_for(2 * QUICK.duration, api, clock, eventually)

        assert writable(leader)


async def test_a_deleted_lease_is_lost(api: FakeApi, make: Make) -> None:
    leader = make("a")
    await leader.acquire()
    await api.remove("Lease", "operator")

    with pytest.raises(LeadershipLostError):
        await asyncio.wait_for(leader.hold(), PATIENCE)


async def test_the_deadline_counts_from_when_the_renewal_was_sent(
    api: FakeApi, make: Make, clock: Clock
) -> None:
    leader = make("a", clock)
    await leader.acquire()

    clock.now = QUICK.deadline - 0.001
    assert writable(leader)
    clock.now = QUICK.deadline
    assert not writable(leader)


def test_the_default_times_allow_a_take_over_within_ten_seconds() -> None:
    timing = Timing()

    assert timing.duration + timing.poll <= 10
    assert timing.deadline + timing.renew <= timing.duration
    assert set(dataclasses.asdict(timing)) == {"duration", "deadline", "renew", "poll"}
