"""A background task never ends silently: whatever it does, it is recorded and restarted, until it is cancelled."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tiktok_accounts_gql.background import supervise_all
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.periodic import run_every, supervise
from tiktok_accounts_gql.tasks import cancel_and_wait


async def returns() -> None:
    return


async def raises() -> None:
    raise RuntimeError


async def waits_for_something_cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def loses_the_database() -> None:
    raise ServiceUnavailable


async def recurses() -> None:
    raise RecursionError


FAULTS = [returns, raises, waits_for_something_cancelled, loses_the_database, recurses]
Fault = Callable[[], Awaitable[None]]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_task_that_ends_is_recorded_and_restarted(fault: Fault) -> None:
    counts, faults, is_running = Counter[FailureKind](), [fault, fault, fault], asyncio.Event()

    async def work() -> None:
        if faults:
            await faults.pop()()
        else:
            is_running.set()
            await asyncio.Event().wait()

    failures = FailureLog(lambda kind: counts.update([kind]))
    task = asyncio.create_task(
        supervise(work, name="work", failures=failures, first_restart=timedelta(milliseconds=10))
    )
    async with asyncio.timeout(5):
        await is_running.wait()
    assert counts == {FailureKind.TASK: 3}
    assert not task.done()
    await cancel_and_wait(task)
    assert task.cancelled()


@pytest.mark.parametrize("fault", FAULTS[1:])
async def test_a_run_that_fails_is_recorded_and_the_next_one_comes_sooner(fault: Fault) -> None:
    counts, faults, has_worked = Counter[FailureKind](), [fault], asyncio.Event()

    async def work() -> None:
        if faults:
            await faults.pop()()
        has_worked.set()

    failures = FailureLog(lambda kind: counts.update([kind]))
    task = asyncio.create_task(run_every(timedelta(hours=1), work, failures=failures))
    async with asyncio.timeout(5):
        await has_worked.wait()
    assert counts == {FailureKind.ROUND: 1}
    await cancel_and_wait(task)


async def test_a_task_that_is_cancelled_between_restarts_ends() -> None:
    failures = FailureLog()
    task = asyncio.create_task(supervise(raises, name="work", failures=failures, first_restart=timedelta(minutes=1)))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await cancel_and_wait(task)


async def test_a_cancellation_at_the_same_time_as_the_wake_event_is_obeyed() -> None:
    """`asyncio.wait_for` swallowed it: the event is set in the same iteration of the loop as the task is cancelled."""
    for number in range(20):
        wake = asyncio.Event()
        rounds: list[None] = []

        async def work(rounds: list[None] = rounds) -> None:
            rounds.append(None)

        task = asyncio.create_task(run_every(timedelta(hours=1), work, wake=wake))
        for _ in range(number):
            await asyncio.sleep(0)
        wake.set()
        task.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait([task])
        assert task.cancelled()


async def test_a_task_that_always_fails_does_not_stop_the_others() -> None:
    counts, rounds = Counter[FailureKind](), asyncio.Semaphore(0)

    async def work() -> None:
        rounds.release()

    failures = FailureLog(lambda kind: counts.update([kind]))
    tasks = {
        "broken": raises,
        "fine": lambda: run_every(timedelta(milliseconds=10), work, failures=failures),
    }
    async with supervise_all(tasks, failures), asyncio.timeout(10):
        for _ in range(20):
            await rounds.acquire()
    assert counts[FailureKind.TASK] >= 1
    assert counts[FailureKind.ROUND] == 0


async def test_a_supervisor_that_is_cancelled_from_outside_is_counted() -> None:
    counts = Counter[FailureKind]()

    async def forever() -> None:
        await asyncio.Event().wait()

    async with supervise_all({"forever": forever}, FailureLog(lambda kind: counts.update([kind]))):
        [task] = [task for task in asyncio.all_tasks() if task.get_name() == "forever"]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert counts == {FailureKind.TASK: 1}
