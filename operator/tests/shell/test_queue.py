"""The queue in virtual time: what runs when, and how it ends."""

import asyncio
import random

import pytest
from tests.shell import virtual_time

from homeserver_operator.api.world import Key
from homeserver_operator.cluster import ApiError
from homeserver_operator.metrics import Metrics
from homeserver_operator.queue import RUN_TIMEOUT, STUCK_AFTER, Queue, Reconcile
from homeserver_operator.reconcile import RefusedError
from homeserver_operator.schedule import NEVER, Rules

RULES = Rules(jitter=0.0)
ALPHA, BETA = Key("chat", "alpha"), Key("chat", "beta")


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


def run_for(
    seconds: float, reconcile: Reconcile, *keys: Key, metrics: Metrics | None = None
) -> None:
    """Add the keys and run the queue for a while of virtual time."""

    async def main() -> None:
        queue = Queue(reconcile, metrics or Metrics(), rules=RULES, rng=random.Random(1))  # noqa: S311
        for key in keys:
            queue.add(key)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(seconds)
        await queue.close(grace=0)
        await running

    virtual_time.run(main())


def test_no_more_than_the_bound_run_at_once() -> None:
    at_once = peak = 0

    async def reconcile(_: Key) -> float | None:
        nonlocal at_once, peak
        at_once += 1
        peak = max(peak, at_once)
        await asyncio.sleep(1)
        at_once -= 1
        return NEVER

    run_for(60, reconcile, *(Key("chat", str(n)) for n in range(40)))

    assert peak == 4


def test_an_edit_waits_for_one_free_place_not_for_the_backlog() -> None:
    order: list[Key] = []

    async def reconcile(key: Key) -> float | None:
        order.append(key)
        await asyncio.sleep(1)
        return NEVER

    async def main() -> None:
        queue = Queue(reconcile, Metrics(), rules=RULES)
        for number in range(400):
            queue.add(Key("chat", str(number)))
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(10.5)
        queue.add(ALPHA, fresh=True)
        await asyncio.sleep(1)
        await queue.close(grace=0)
        await running

    virtual_time.run(main())

    assert order.index(ALPHA) == 44


def test_an_addition_during_a_run_is_not_lost() -> None:
    times: list[float] = []

    async def main() -> None:
        async def reconcile(_: Key) -> float | None:
            times.append(now())
            if len(times) == 1:
                queue.add(ALPHA)
            await asyncio.sleep(1)
            return NEVER

        queue = Queue(reconcile, Metrics(), rules=RULES)
        queue.add(ALPHA)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(100)
        await queue.close(grace=0)
        await running

    virtual_time.run(main())

    assert times == [0, 1.25]


def test_a_wake_up_ends_the_wait_of_an_idle_queue() -> None:
    times: list[float] = []

    async def reconcile(_: Key) -> float | None:
        times.append(now())
        return None

    async def main() -> None:
        queue = Queue(reconcile, Metrics(), rules=RULES)
        queue.add(ALPHA)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(50)
        queue.add(ALPHA)
        await asyncio.sleep(1)
        await queue.close(grace=0)
        await running

    virtual_time.run(main())

    assert times == [0, 50]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(ApiError(503, "x", "y"), "error", id="an answer of the API server"),
        pytest.param(RefusedError("x"), "failed", id="an object that was refused"),
        pytest.param(KeyError("x"), "error", id="a mistake of our own"),
    ],
)
def test_whatever_is_raised_is_tried_again_with_backoff(error: Exception, outcome: str) -> None:
    times: list[float] = []
    metrics = Metrics()

    async def reconcile(_: Key) -> float | None:
        times.append(now())
        raise error

    run_for(16, reconcile, ALPHA, metrics=metrics)

    assert times == [0, 1, 3, 7, 15]
    counted = metrics.registry.get_sample_value
    assert counted("homeserver_operator_reconcile_total", {"outcome": outcome}) == 5


def test_an_error_of_one_homeserver_does_not_hold_up_another() -> None:
    times: list[float] = []

    async def reconcile(key: Key) -> float | None:
        if key == ALPHA:
            raise ApiError(500, "x", "y")
        times.append(now())
        return 1.0

    run_for(5, reconcile, ALPHA, BETA)

    assert times == [0, 1, 2, 3, 4]


def test_a_reconcile_that_hangs_is_cut_off_and_tried_again() -> None:
    times: list[float] = []

    async def reconcile(_: Key) -> float | None:
        times.append(now())
        await asyncio.Event().wait()
        return None

    run_for(RUN_TIMEOUT + 2, reconcile, ALPHA)

    assert times == [0, RUN_TIMEOUT + 1]


def test_a_reconcile_that_cannot_be_cut_off_is_called_stuck() -> None:
    async def reconcile(_: Key) -> float | None:
        ends = asyncio.get_running_loop().time() + 1000
        while asyncio.get_running_loop().time() < ends:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue
        return None

    async def main() -> tuple[str | None, str | None]:
        queue = Queue(reconcile, Metrics(), rules=RULES)
        queue.add(ALPHA)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(STUCK_AFTER - 1)
        before = queue.stuck()
        await asyncio.sleep(2)
        after = queue.stuck()
        await asyncio.sleep(1000)
        await queue.close(grace=0)
        await running
        return before, after

    before, after = virtual_time.run(main())

    assert before is None
    assert after == "a reconcile has been running for 361 s"


def closing(work: float, grace: float) -> tuple[list[Key], list[Key]]:
    started: list[Key] = []
    finished: list[Key] = []

    async def reconcile(key: Key) -> float | None:
        started.append(key)
        await asyncio.sleep(work)
        finished.append(key)
        return None

    async def main() -> None:
        queue = Queue(reconcile, Metrics(), concurrency=1, rules=RULES)
        queue.add(ALPHA)
        queue.add(BETA)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0.5)
        await queue.close(grace)
        await running

    virtual_time.run(main())
    return started, finished


def test_closing_lets_the_running_one_finish_and_starts_no_other() -> None:
    assert closing(work=5, grace=10) == ([ALPHA], [ALPHA])


def test_closing_does_not_wait_longer_than_it_may() -> None:
    assert closing(work=50, grace=10) == ([ALPHA], [])


def test_the_depth_counts_what_is_due_and_waits() -> None:
    metrics = Metrics()
    depths: list[float | None] = []

    async def reconcile(_: Key) -> float | None:
        depths.append(metrics.registry.get_sample_value("homeserver_operator_queue_depth"))
        await asyncio.sleep(1)
        return NEVER

    run_for(30, reconcile, *(Key("chat", str(n)) for n in range(6)), metrics=metrics)

    assert depths == [2, 2, 2, 2, 0, 0]
