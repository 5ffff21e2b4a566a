"""services/periodic.py: work that is repeated at an interval ends between two runs."""

import asyncio
from datetime import timedelta

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.periodic import run_every

LONG = timedelta(hours=1)


async def test_a_cancellation_lets_the_run_end() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.sleep(0.05)
        ended.set()

    task = asyncio.create_task(run_every(LONG, work))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ended.is_set()
    assert task.cancelled()


async def test_a_failed_run_is_followed_by_the_next_one_which_wake_starts_at_once() -> None:
    rounds, wake, third = [ServiceUnavailable(), RuntimeError("once"), None], asyncio.Event(), asyncio.Event()

    async def work() -> None:
        failure = rounds.pop(0)
        if rounds:
            wake.set()
        if failure is not None:
            raise failure
        third.set()

    task = asyncio.create_task(run_every(LONG, work, wake=wake))
    await asyncio.wait_for(third.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert rounds == []
